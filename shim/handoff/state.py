"""The state at the kernel entry, as it is kept in the folder ``handoff``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from efi_services.abi import ABIS
from efi_services.guids import LINUX_EFI_INITRD_MEDIA
from efi_services.ports import MemoryFault
from shim.errors import UnreadableError
from shim.handoff import arm, arm64, page_walk, ram_image, riscv64, x86

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from efi_services.abi import Abi
    from efi_services.firmware import Firmware
    from shim.machine.machine import Machine, Stop
    from shim.machine.ram import Ram


class _Decoder(Protocol):
    """What an architecture's kernels find beside what UEFI defines: a module each."""

    def collect(self, ram: Ram, registers: Mapping[str, int]) -> dict[str, Any]:
        """Parts of the state."""

    def places(self, state: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
        """Addresses that those parts tell of, with names."""

    def parts(self, state: Mapping[str, Any], files: Path) -> Iterator[tuple[str, int, int]]:
        """Names, addresses and sizes of what can be asked for its origin; *files* is where `files` were kept."""

    def files(self, state: Mapping[str, Any], ram: Ram) -> Iterator[tuple[str, bytes]]:
        """What is kept as it is: file names and bytes."""


_DECODERS: Mapping[str, _Decoder] = {"x86_64": x86, "i386": x86, "aarch64": arm64, "arm": arm, "riscv64": riscv64}


def collect(machine: Machine, firmware: Firmware, stop: Stop) -> dict[str, Any]:
    """Everything that a kernel finds: registers, what its boot protocol has, tables, and the memory map."""
    registers, tables = machine.handoff_registers(), firmware.configuration.tables
    name = machine.architecture.name
    return {
        "architecture": name,
        "entry": stop.pc,
        "entered_from": stop.came_from,
        "entered_from_image": firmware.images.name_at(stop.came_from),
        "registers": registers,
        "page_tables": page_walk.summary(name, registers, machine.ram.view),
        **_DECODERS[name].collect(machine.ram, registers),
        "configuration_tables": {str(guid): address for guid, address in tables.items()},
        "system_table": firmware.system_table,
        "variables": [
            {
                "name": each.name,
                "vendor": str(each.vendor),
                "attributes": each.attributes,
                "data": each.data.hex(),
                "moment": list(each.moment),
                "owner": each.owner.hex(),
            }
            for each in firmware.variables
        ],
        "memory_map": [
            {
                "start": each.physical_start,
                "pages": each.number_of_pages,
                "type": each.type,
                "attribute": each.attribute,
            }
            for each in firmware.memory_map.descriptors()
        ],
        "framebuffer": _framebuffer(firmware),
        "initrd": _initrd(machine.ram, tables.get(LINUX_EFI_INITRD_MEDIA), ABIS[name]),
    }


def places(state: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Addresses of what a kernel finds, with their names."""
    yield state["entry"], "kernel"
    yield from _DECODERS[state["architecture"]].places(state)


def parts(folder: Path, state: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Names, addresses and sizes of what a kernel finds in memory, of a state that `save` has kept."""
    yield from _DECODERS[state["architecture"]].parts(state, folder / "handoff")


def save(folder: Path, state: dict[str, Any], ram: Ram) -> None:
    """Write state.json, and beside it what a kernel of the architecture is handed."""
    target = folder / "handoff"
    try:
        target.mkdir()
        (target / "state.json").write_text(json.dumps(state, indent=2) + "\n")
        for name, data in _DECODERS[state["architecture"]].files(state, ram):
            (target / name).write_bytes(data)
    except OSError as error:
        raise UnreadableError(f"{target}: {error.strerror}") from None


def save_ram(folder: Path, ram: Ram) -> None:
    """Write an image of RAM."""
    target = folder / ram_image.FILE
    try:
        target.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise UnreadableError(f"{target.parent}: {error.strerror}") from None
    ram_image.write(target, ram.used_pages())


def _framebuffer(firmware: Firmware) -> dict[str, int] | None:
    """What a graphics output protocol has, if there is one."""
    if firmware.screen is None:
        return None
    there = firmware.screen.framebuffer
    return {"address": there.base, "width": there.resolution.width, "height": there.resolution.height}


def _initrd(ram: Ram, table: int | None, abi: Abi) -> dict[str, int] | None:
    """Where a stub's configuration table says that it has put the initrd: two numbers of natural width."""
    if table is None:
        return None
    width = abi.pointer_bytes
    try:
        found = bytes(ram.view(table, 2 * width))
    except MemoryFault:
        return None
    return {"address": abi.unpack(found), "size": abi.unpack(found[width:])}
