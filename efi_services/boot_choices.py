"""What a machine tries to boot, in which order (UEFI 2.10, sections 3.1 and 3.5.1.1)."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services import device_path, guids
from efi_services.device_path import END
from efi_services.load_option import LoadOption
from efi_services.status import EfiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from efi_services.disks import FileSystem
    from efi_services.types import Guid

#: The file that is booted from a medium which nobody has said anything about, by the architecture's name.
REMOVABLE = {
    "x86_64": "BOOTX64.EFI", "i386": "BOOTIA32.EFI", "aarch64": "BOOTAA64.EFI", "arm": "BOOTARM.EFI",
    "riscv64": "BOOTRISCV64.EFI",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to boot: the number of its Boot#### variable, if it has one, a file's device path, load options."""

    number: int | None
    description: str
    path: bytes
    data: bytes = b""


def choices(
    value: Callable[[tuple[str, Guid]], bytes], systems: Sequence[FileSystem], architecture: str
) -> Iterator[Choice]:
    """BootNext, then what BootOrder names, then the file for removable media wherever there is one.

    *value* gives a variable's contents, *systems* are the file systems there are.
    """
    order = value(("BootNext", guids.GLOBAL_VARIABLE))[:2] + value(("BootOrder", guids.GLOBAL_VARIABLE))
    for (number,) in struct.iter_unpack("<H", order[: len(order) & -2]):
        with suppress(ValueError):
            option = LoadOption.unpack(value((f"Boot{number:04X}", guids.GLOBAL_VARIABLE)))
            if option.active:
                yield Choice(number, option.description, full_path(option.path, systems, architecture), option.data)
    for system in systems:
        if exists(system, removable(architecture)):
            yield Choice(None, "removable media", system.path + device_path.file_path(removable(architecture)) + END)


def removable(architecture: str) -> str:
    """The path of the file for removable media."""
    return f"\\EFI\\BOOT\\{REMOVABLE[architecture]}"


def exists(system: FileSystem, path: str) -> bool:
    """Whether there is a file of that path."""
    with suppress(EfiError):
        return not system.volume.locate(system.volume.root, path).node.directory
    return False


def full_path(path: bytes, systems: Sequence[FileSystem], architecture: str) -> bytes:
    """The whole path of what a short one means: it may begin at a partition, or end before the file.

    A path that means nothing here is given back as it is.
    """
    nodes = list(device_path.nodes(path))
    for system in systems:
        rest = _behind(nodes, system)
        if rest is None:
            continue
        if not rest:
            rest = [device_path.file_path(removable(architecture))]
        if exists(system, device_path.file_of(rest) or ""):
            return system.path + b"".join(rest) + END
    return path


def _behind(nodes: list[bytes], system: FileSystem) -> list[bytes] | None:
    """What of a path comes behind a file system's own; None where it is another one's."""
    own = list(device_path.nodes(system.path))
    if nodes[: len(own)] == own:
        return nodes[len(own) :]
    # The disk, and not which of its partitions.
    if nodes == own[:-1] and device_path.is_hard_drive(own[-1]):
        return []
    if nodes[:1] == own[-1:] and device_path.is_hard_drive(own[-1]):
        return nodes[1:]
    return nodes if nodes and device_path.file_of(nodes) is not None else None
