"""The state at the kernel entry, as it is kept in the folder ``handoff``."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from efi_services.ports import MemoryFault
from shim.errors import UnreadableError
from shim.handoff import x86
from shim.machine.ram import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from efi_services.firmware import Firmware
    from shim.machine.machine import Machine, Stop
    from shim.machine.ram import Ram

_MAX_COMMAND_LINE = 4096


def collect(machine: Machine, firmware: Firmware, stop: Stop) -> dict[str, Any]:
    """Everything that a kernel finds: registers, boot_params, configuration tables and the memory map."""
    registers = machine.handoff_registers()
    return {
        "entry": stop.pc,
        "entered_from": stop.came_from,
        "entered_from_image": firmware.images.name_at(stop.came_from),
        "registers": registers,
        "gdt": _hex_at(machine.ram, registers["gdt_base"], registers["gdt_limit"] + 1),
        "idt": {"base": registers["idt_base"], "limit": registers["idt_limit"]},
        "boot_params": _boot_params(machine.ram, registers["rsi"]),
        "configuration_tables": {str(guid): address for guid, address in firmware.configuration.tables.items()},
        "system_table": firmware.system_table,
        "memory_map": [
            {
                "start": each.physical_start,
                "pages": each.number_of_pages,
                "type": each.type,
                "attribute": each.attribute,
            }
            for each in firmware.memory_map.descriptors()
        ],
    }


def places(state: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Addresses of what a kernel finds, with their names."""
    yield state["entry"], "kernel"
    boot_params = state["boot_params"]
    if boot_params is not None:
        found = {
            "boot_params": boot_params["address"],
            "command line": boot_params["command_line_address"],
            "memory map": boot_params["efi_info"]["memory_map"],
            "initrd": boot_params["initrd_address"],
        }
        yield from ((address, name) for name, address in found.items() if address)


def save(folder: Path, state: dict[str, Any], ram: Ram) -> None:
    """Write state.json, and boot_params.bin where there are any."""
    target = folder / "handoff"
    try:
        target.mkdir()
        (target / "state.json").write_text(json.dumps(state, indent=2) + "\n")
        if state["boot_params"] is not None:
            (target / "boot_params.bin").write_bytes(bytes(ram.view(state["registers"]["rsi"], x86.SIZE)))
    except OSError as error:
        raise UnreadableError(f"{target}: {error.strerror}") from None


def save_ram(folder: Path, ram: Ram) -> None:
    """Write RAM as a sparse file, byte for byte from the first range's start, holes left out."""
    target = folder / "handoff"
    try:
        target.mkdir(exist_ok=True)
        free = shutil.disk_usage(target).free
        pages = list(ram.used_pages())
        if len(pages) * PAGE > free:
            raise UnreadableError(f"{target}: no room for {len(pages) * PAGE} bytes of RAM")
        base = ram.ranges[0][0]
        with (target / "ram.bin").open("wb") as file:
            for address, page in pages:
                file.seek(address - base)
                file.write(page)
            file.truncate(ram.ranges[-1][1] - base)
    except OSError as error:
        raise UnreadableError(f"{target}: {error.strerror}") from None


def _boot_params(ram: Ram, address: int) -> dict[str, Any] | None:
    """boot_params at *address*, where there can be any: RSI is theirs by the boot protocol."""
    try:
        decoded = x86.decode(bytes(ram.view(address, x86.SIZE)))
    except MemoryFault:
        return None
    if decoded["efi_info"]["loader_signature"] not in ("EL64", "EL32"):
        return None
    decoded["address"] = address
    decoded["command_line"] = _text_at(ram, decoded["command_line_address"])
    return decoded


def _text_at(ram: Ram, address: int) -> str | None:
    # It may lie in the last page of memory.
    for size in (_MAX_COMMAND_LINE, PAGE - address % PAGE):
        try:
            return bytes(ram.view(address, size)).split(b"\0")[0].decode("utf-8", "replace")
        except MemoryFault:
            continue
    return None


def _hex_at(ram: Ram, address: int, size: int) -> str | None:
    try:
        return bytes(ram.view(address, size)).hex()
    except MemoryFault:
        return None
