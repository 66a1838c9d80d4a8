"""The disks of a run: opened when it begins, and known by their digests from then on."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from efi_services import device_path
from efi_services.boot_choices import Choice, choices, exists, removable
from efi_services.disks import FileSystem, file_systems
from efi_services.guids import GLOBAL_VARIABLE
from efi_services.image_source import MAX_IMAGE
from efi_services.load_option import ACTIVE, LoadOption
from efi_services.ports import Disk
from efi_services.status import EfiError
from efi_services.variables import BOOTSERVICE_ACCESS, NON_VOLATILE, RUNTIME_ACCESS, Variable
from shim.config.disks import DiskSettings
from shim.disks.folder import open_folder
from shim.disks.image import DiskImage
from shim.disks.virtual import VirtualDisk
from shim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from shim.config.disks import BootEntry
    from shim.config.platform import Platform


class Attached:
    """The open disks of a platform; *platform* tells of them by their digests.

    *left_out* are files that the guest doesn't see.
    """

    def __init__(self, platform: Platform) -> None:
        self.ports: tuple[Disk, ...] = ()
        self.left_out: list[str] = []
        self._closing = ExitStack()
        self._machine = platform.machine
        known: list[DiskSettings] = []
        try:
            for number, settings in enumerate(platform.disk):
                known.append(self._attach(number, settings))
        except BaseException:
            self.close()
            raise
        self.platform = platform.with_disks(known)

    def close(self) -> None:
        """Let go of the host's files."""
        self._closing.close()

    def find(self, path: str) -> Choice:
        """The file of that path, on the first file system that has it; raises UsageError."""
        for system in self.systems:
            if exists(system, path):
                return Choice(None, path, system.path + device_path.file_path(path) + device_path.END)
        raise UsageError(f"none of the platform's {len(self.ports)} disks has a file {path}")

    def first_choice(self, variables: Iterable[Variable]) -> Choice:
        """What the boot manager will try first of what there is; raises UsageError."""
        values = {(each.name, each.vendor): each.data for each in variables}
        for choice in choices(lambda name: values.get(name, b""), self.systems, self._machine):
            if self.read(choice) is not None:
                return choice
        raise UsageError(
            f"there is nothing to boot: no boot option with a file, and no disk has {removable(self._machine)}"
        )

    def read(self, choice: Choice) -> bytes | None:
        """The file of a choice, if it is there."""
        for system in self.systems:
            own = device_path.length_of_match(system.path + device_path.END, choice.path)
            name = device_path.file_of(list(device_path.nodes(choice.path[own:]))) if own else None
            if name and exists(system, name):
                return _contents(system, name)
        return None

    def boot_variables(self, platform: Platform) -> tuple[Variable, ...]:
        """Boot#### and BootOrder of the platform's boot entries; raises UsageError where one has no disk."""
        made = [
            _variable(f"Boot{number:04X}", self._option(number, each).pack())
            for number, each in enumerate(platform.boot)
        ]
        order = b"".join(number.to_bytes(2, "little") for number in range(len(made)))
        return (*made, _variable("BootOrder", order)) if made else ()

    def _option(self, number: int, entry: BootEntry) -> LoadOption:
        at = self.ports[entry.disk].path if entry.disk < len(self.ports) else None
        system = next((each for each in self.systems if at is not None and each.path.startswith(at)), None)
        if system is None:
            raise UsageError(f"boot entry {number} is on disk {entry.disk}, where no file system is")
        *_, last = device_path.nodes(system.path)
        # A partition by itself, as operating systems write it: wherever its disk is, it will be found.
        place = last if device_path.is_hard_drive(last) else system.path
        options = b"" if entry.options is None else (entry.options + "\0").encode("utf-16-le")
        path = place + device_path.file_path(entry.path.replace("/", "\\")) + device_path.END
        return LoadOption(entry.description, path, options, ACTIVE if entry.active else 0)

    @cached_property
    def systems(self) -> list[FileSystem]:
        """The file systems of all disks."""
        return file_systems(self.ports, lambda _kind, _detail: None)

    def _attach(self, number: int, settings: DiskSettings) -> DiskSettings:
        if settings.path is None:
            raise UsageError(f"disk {number} of the platform is known by its digest only; say where it is with --disk")
        place = _place(self._machine, number)
        if settings.image is not None:
            image = DiskImage(settings.path, settings.block_size)
            self._closing.callback(image.close)
            self.ports = (*self.ports, Disk(place, image))
            return DiskSettings(kind="image", sha256=image.digest, block_size=settings.block_size)
        tree = open_folder(settings.path)
        self._closing.callback(tree.close)
        self.left_out += tree.left_out
        self.ports = (*self.ports, Disk(place, VirtualDisk(tree)))
        return DiskSettings(kind="folder", sha256=tree.digest)


def _contents(system: FileSystem, name: str) -> bytes | None:
    node = system.volume.locate(system.volume.root, name).node
    if node.size > MAX_IMAGE:
        return None
    try:
        return system.volume.read(node, 0, node.size)
    except EfiError:
        return None


def _variable(name: str, data: bytes) -> Variable:
    return Variable(name, GLOBAL_VARIABLE, NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS, data)


def settings_of(path: Path) -> DiskSettings:
    """A disk by its path: a folder is one, any other file is an image."""
    return DiskSettings(folder=str(path)) if path.is_dir() else DiskSettings(image=str(path))


def _place(machine: str, number: int) -> bytes:
    """Where QEMU has a machine's disks: at q35's own SATA controller, and on other machines each as a PCI device."""
    if machine == "x86_64" and number < 6:
        return device_path.pci(0, 0x1F, 2) + device_path.sata(number)
    return device_path.pci(0, 3 + number, 0)
