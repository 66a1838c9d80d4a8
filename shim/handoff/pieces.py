"""What a kernel is handed, piece by piece, with the digests that whoever measures it at that moment would take."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from efi_services.ports import MemoryFault
from efi_services.tcg.piece import piece
from shim.handoff import setup_data, x86
from shim.pages import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from efi_services.tcg.piece import Piece
    from shim.machine.ram import Ram

#: Documentation/arch/x86/boot.rst: the command line's largest size.
_CMDLINE_SIZE = 0x238


def collect(state: dict[str, Any], ram: Ram) -> list[Piece]:
    """The pieces of an x86 hand-off: boot_params, setup_data, command line, memory map, initrd; none elsewhere."""
    boot_params = state.get("boot_params")
    if boot_params is None:
        return []
    found = []
    for name, address, size in _x86(boot_params, ram):
        try:
            data = ram.view(address, size)
        except MemoryFault:
            continue
        found.append(piece(name, data, address))
    return found


def _x86(boot_params: dict[str, Any], ram: Ram) -> Iterator[tuple[str, int, int]]:
    """Name, address and size of each."""
    address = boot_params["address"]
    yield "boot_params", address, x86.SIZE
    yield from _setup_data(boot_params["fields"]["setup_data"], ram)
    # The whole buffer is measured, since the kernel takes as much of it; a stub's header says how much at the most.
    (size,) = struct.unpack_from("<I", ram.view(address, x86.SIZE), _CMDLINE_SIZE)
    if boot_params["command_line_address"]:
        start = boot_params["command_line_address"]
        yield "command line", start, size or _text_size(start, ram)
    efi = boot_params["efi_info"]
    if efi["memory_map"]:
        yield "memory map", efi["memory_map"], efi["memory_map_size"]
    if boot_params["initrd_size"]:
        yield "initrd", boot_params["initrd_address"], boot_params["initrd_size"]


def _text_size(address: int, ram: Ram) -> int:
    """The bytes of a text with its zero, up to 4096; it may lie in the last page of memory."""
    for size in (PAGE, PAGE - address % PAGE):
        try:
            data = bytes(ram.view(address, size))
        except MemoryFault:
            continue
        return data.find(0) + 1 or size
    return 1


def _setup_data(address: int, ram: Ram) -> Iterator[tuple[str, int, int]]:
    """Each link's payload, and before it what an indirect one points to."""
    for link in setup_data.links(address, ram.view):
        if link.target is not None:
            yield "setup_data target", *link.target
        yield "setup_data", link.content, link.size
