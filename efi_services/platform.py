"""What the firmware is told of the machine it runs on: plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from efi_services.memory_map import Range
    from efi_services.types import Guid
    from efi_services.variables import Variable


@dataclass(frozen=True, slots=True)
class ConfigurationTable:
    """A configuration table that the platform brings: its bytes, and the type of memory that they lie in."""

    vendor: Guid
    data: bytes
    memory_type: int


@dataclass(frozen=True, slots=True)
class Platform:
    """The machine, as far as firmware sees it.

    Times are seconds since 1970; *stack_bytes* is what the payload's stack gets (UEFI asks for 128 KiB at
    least). *runtime_services* is the mask of EFI_RT_PROPERTIES_TABLE.
    """

    name: str
    ranges: tuple[Range, ...]
    vendor: str = "efi-shim"
    revision: int = 0x0001_0000
    stack_bytes: int = 256 * 1024
    start_time: int = 1_767_225_600
    variables: tuple[Variable, ...] = ()
    tables: tuple[ConfigurationTable, ...] = ()
    acpi: tuple[bytes, ...] = ()
    smbios: bytes = b""
    rng: bool = True
    memory_attribute: bool = True
    console: bool = True
    runtime_services: int = field(default=0x3FFF)
