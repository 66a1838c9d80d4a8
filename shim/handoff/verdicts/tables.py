"""Rules about the system table and the configuration tables."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from efi_services.abi import ABIS
from efi_services.guids import name_of
from efi_services.memory_map import MemoryType
from efi_services.system_table import SystemTable
from efi_services.types import Guid
from shim.handoff.verdicts.extents import memory_map_of
from shim.handoff.verdicts.rule import BrokenError, rule

if TYPE_CHECKING:
    from shim.handoff.verdicts.rule import Handed

_SIGNATURE = 0x5453_5953_2049_4249
_CRC32 = slice(16, 20)
_GONE = "console_in_handle", "con_in", "console_out_handle", "con_out", "standard_error_handle", "std_err"
_FREED = frozenset(
    {MemoryType.ConventionalMemory, MemoryType.BootServicesCode, MemoryType.BootServicesData, None},
)


@rule("system-table", "UEFI 2.10, sections 4.2, 4.3 and 7.4.6")
def system_table(handed: Handed) -> str:
    """The kernel is told of the system table, which is whole and has lost its boot services and consoles."""
    told = memory_map_of(handed)
    if told is not None and told["system_table"] != handed.state["system_table"]:
        raise BrokenError(
            f"the kernel is told that it is at {told['system_table']:#x}, it is at {handed.state['system_table']:#x}"
        )
    abi = ABIS[handed.architecture]
    data = bytes(handed.memory.view(handed.state["system_table"], SystemTable.sizeof(abi)))
    table = SystemTable.unpack(abi, data)
    if table.header.signature != _SIGNATURE:
        raise BrokenError(f"its signature is {table.header.signature:#x}")
    if table.boot_services or any(getattr(table, each) for each in _GONE):
        raise BrokenError("it has boot services or a console still")
    if zlib.crc32(data[: _CRC32.start] + bytes(4) + data[_CRC32.stop :]) != table.header.crc32:
        raise BrokenError("its CRC-32 is wrong")
    return f"it is at {handed.state['system_table']:#x}, without boot services and consoles, and its CRC-32 is right"


@rule("configuration-tables", "UEFI 2.10, section 4.6")
def configuration_tables(handed: Handed) -> str:
    """No configuration table lies in free memory or in memory of boot services."""
    tables = handed.state["configuration_tables"]
    for guid, address in tables.items():
        wrong = handed.types(address, address + 1) & _FREED
        if wrong:
            kind = next("none" if one is None else one.name for one in wrong)
            raise BrokenError(f"{name_of(Guid(guid))} at {address:#x} lies in memory of type {kind}")
    return f"{len(tables)} tables lie in memory that stays"
