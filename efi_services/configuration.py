"""The array of configuration tables (UEFI 2.10, section 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.guids import name_of
from efi_services.memory_map import MemoryType
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import Guid, Pointer

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


@struct
class ConfigurationEntry(Struct):
    """EFI_CONFIGURATION_TABLE."""

    vendor: Guid
    table: Pointer


class ConfigurationTables:
    """The tables in the order of their installation, and the array that the system table points to.

    The array lies in runtime memory, since the kernel reads it after boot services have gone.
    """

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._tables: dict[Guid, int] = {}
        self._packed: dict[Guid, bytes] = {}
        self._array = 0
        self._room = 0

    def install(self, vendor: Guid, table: int) -> None:
        """Add, replace, or (0) remove a table; raises NOT_FOUND where there is none to remove."""
        if table:
            self._make_room(len(self._tables) + (vendor not in self._tables))
            self._tables[vendor] = table
            self._packed[vendor] = ConfigurationEntry(vendor, table).pack(self._firmware.abi)
            self._firmware.observer.region_named(table, f"configuration table {name_of(vendor)}")
        elif vendor in self._tables:
            del self._tables[vendor], self._packed[vendor]
        else:
            raise EfiError(Status.NOT_FOUND)
        self._firmware.memory.write(self._array, b"".join(self._packed.values()))
        self._firmware.publish_system_table()

    @property
    def tables(self) -> dict[Guid, int]:
        """Addresses by GUID."""
        return dict(self._tables)

    @property
    def array(self) -> tuple[int, int]:
        """Address of the array, and its number of entries."""
        return self._array, len(self._tables)

    def _make_room(self, count: int) -> None:
        """Let the array have *count* entries; raises OUT_OF_RESOURCES and leaves everything as it is."""
        if count <= self._room:
            return
        firmware, old = self._firmware, self._array
        room = max(16, 2 * self._room)
        empty = bytes(ConfigurationEntry.sizeof(firmware.abi) * room)
        self._array = firmware.store(empty, MemoryType.RuntimeServicesData, "configuration tables")
        self._room = room
        if old:
            firmware.discard(old)
