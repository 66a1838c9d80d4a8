"""Slots of the firmware's tables that a guest has replaced: rootkits do so, and boot loaders for their own reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.system_table import SystemTable, TableHeader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from efi_services.firmware import Firmware
    from efi_services.service import Service


#: What of the system table leads to functions.
_SYSTEM = {
    "con_in": "ConIn", "con_out": "ConOut", "std_err": "StdErr", "runtime_services": "RuntimeServices",
    "boot_services": "BootServices",
}  # fmt: skip
_LASTING = ("runtime services table", "system table")


@dataclass(slots=True)
class _Table:
    """A table as the firmware left it, or as it was last seen. *slots* has the names by their offsets."""

    memory: memoryview
    slots: Mapping[int, str]
    own: bytes
    seen: bytes


class Slots:
    """What the pointers in tables were when the firmware wrote them, and whether they still are."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._tables: dict[str, _Table] = {}

    def watch(self, name: str, address: int, slots: Mapping[int, str]) -> None:
        """Take a table as it is by now for right; what was replaced in it and told of before stays so."""
        size = max(slots) + self._firmware.abi.pointer_bytes
        memory = self._firmware.memory.view(address, size)
        data = memory.tobytes()
        self._tables[name] = _Table(memory, slots, data, data)

    def watch_services(self, name: str, address: int, services: Sequence[Service | None]) -> None:
        """The same for a table of services."""
        abi = self._firmware.abi
        begin = TableHeader.sizeof(abi)
        named = {begin + i * abi.pointer_bytes: each.name for i, each in enumerate(services) if each is not None}
        self.watch(name, address, named)

    def watch_system_table(self, address: int) -> None:
        """The same for the system table's pointers."""
        abi = self._firmware.abi
        self.watch("system table", address, {SystemTable.offsetof(abi, field): slot for field, slot in _SYSTEM.items()})

    def leave_boot_services(self) -> None:
        """From now on look at what outlives boot services only: the rest is the guest's memory."""
        self._tables = {name: table for name, table in self._tables.items() if name in _LASTING}

    def look(self, caller: str | None = None) -> None:
        """Tell of slots that were replaced since the last look; *caller* is the image that calls, None at the end."""
        for name, table in self._tables.items():
            if table.memory.tobytes() != table.seen:
                self._compare(name, table, caller)

    def _compare(self, name: str, table: _Table, caller: str | None) -> None:
        firmware = self._firmware
        width = firmware.abi.pointer_bytes
        data = table.memory.tobytes()
        for at, slot in table.slots.items():
            now = data[at : at + width]
            if now in (table.seen[at : at + width], table.own[at : at + width]):
                continue
            where = self._where(firmware.abi.code_address(int.from_bytes(now, "little")))
            who = "at the run's end" if caller is None else f"when {caller or 'code of no image'} called a service"
            firmware.finding("table-slot-replaced", f"{slot} of the {name} leads to {where}; noticed {who}")
        table.seen = data

    def _where(self, address: int) -> str:
        """An address in words: the image that it lies in, or else the type of its memory."""
        firmware = self._firmware
        image = firmware.images.name_of_caller(address)
        if image:
            return f"{address:#x} in {image}"
        if any(start <= address < end for start, end in firmware.gates.ranges):
            return f"{address:#x}, another service of the firmware's"
        found = firmware.memory_map.at(address)
        return f"{address:#x}, where {found.type.name if found else 'nothing'} is"
