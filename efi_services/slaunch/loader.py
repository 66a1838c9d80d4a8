"""The boot loader's part of a dynamic launch: SLR table, event log and TXT heap, laid out and filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.memory_map import PAGE, AllocateType, MemoryType, Owner
from efi_services.slaunch import boot_params, dlme, heap, slrt, table
from efi_services.slaunch.dlme import DlmeError
from efi_services.slaunch.generations import GENERATIONS, policy
from efi_services.slaunch.slrt import Entity, Measured, Tag
from efi_services.tcg import log
from efi_services.tcg.area import LogArea

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.platform import SecureLaunch
    from efi_services.slaunch.dlme import Dlme
    from efi_services.slaunch.slrt import Layout, Table
    from efi_services.tcg.algorithms import Algorithm

DETAILS, AUTHORITIES = 17, 18
#: What lies behind the table, as GRUB has it: the event log, and room to wake the other processors from.
_LOG, _WAKE_BLOCK = 0x8000, 0x14000
#: What can be launched, which is what there are page tables for.
_MOST = 256 << 20
_PAGE_TABLES = heap.page_tables_bytes(_MOST)


class Loader:
    """The memory of a loader. *handler* is the function that launches, 0 where stubs don't look for it."""

    def __init__(
        self, firmware: Firmware, settings: SecureLaunch, layout: Layout, banks: tuple[Algorithm, ...], handler: int
    ) -> None:
        self._firmware = firmware
        self._settings = settings
        self._layout = layout
        self.txt = settings.architecture == "txt"
        self.heap = self._make_heap()
        pages = (table.ROOM + _LOG + _WAKE_BLOCK + _PAGE_TABLES) // PAGE
        self.address = at = firmware.memory_map.allocate(
            AllocateType.MaxAddress, MemoryType.LoaderData, pages, dlme.LIMIT - 1, owner=Owner.FIRMWARE
        )
        self._end = at + pages * PAGE
        self._name("SLR table", at, table.ROOM)
        self._log = LogArea(firmware.memory, self._name("DRTM event log", at + table.ROOM, _LOG), _LOG)
        self._wake_block = self._name("wake block", at + table.ROOM + _LOG, _WAKE_BLOCK)
        self._page_tables = self._name("page tables of the MLE", self._end - _PAGE_TABLES, _PAGE_TABLES)
        self._log.append(log.header(banks))
        self._contents = table.Contents(
            slrt.TXT if self.txt else slrt.SKINIT, at, (self._log.address, _LOG), self._policy(), handler, self.heap[0]
        )
        firmware.memory.write(at, table.encode(self._contents, layout))
        self._places = table.places(self._contents, layout)

    @property
    def kept(self) -> tuple[int, int]:
        """What devices must not reach beside the kernel."""
        return self.address, self._end

    @property
    def context(self) -> int:
        """Where the context lies that a stub hands to the function that launches."""
        return self.address + self._places[Tag.DL_INFO] + table.context_at(self._layout)

    def read(self) -> Table:
        """The table as it is now; raises SlrtError."""
        return slrt.read(self._firmware.memory.read(self.address, table.ROOM), self._layout)

    def describe(self, found: Dlme) -> None:
        """Fill in what only the stub knows; what else it has put there stays. Raises DlmeError, or MemoryFault."""
        whole = table.encode(replace(self._contents, boot_params=found.table, dlme=found), self._layout)
        head = self._layout.head
        for tag in {Tag.DL_INFO, Tag.INTEL_INFO, Tag.AMD_INFO} & self._places.keys():
            at = self._places[tag]
            _, size = head.unpack_from(whole, at)
            self._firmware.memory.write(self.address + at + head.size, whole[at + head.size : at + size])
        self.fill_policy(found)
        self._fill_heap(found)

    def fill_policy(self, found: Dlme) -> None:
        """The policy by what boot_params say now; raises MemoryFault."""
        told = boot_params.read(self._firmware.memory, found.table)
        rows = table.filled_in(self._policy(), self.address, found.table, told)
        at = self.address + self._places[Tag.ENTRY_POLICY] + self._layout.head.size
        self._firmware.memory.write(at, table.policy(rows))

    def read_heap(self) -> heap.Heap | str | None:
        """What the TXT heap tells, or what is wrong with it; None without TXT."""
        start, size = self.heap
        if not self.txt:
            return None
        if not size:
            return "the platform has none"
        try:
            return heap.read(self._firmware.memory, start, size)
        except heap.HeapError as why:
            return str(why)

    def log(self, entry: bytes) -> None:
        """Add an event to the log; one that has no room is lost, as with a launch by the CPU."""
        self._log.append(entry)

    def _name(self, name: str, start: int, size: int) -> int:
        self._firmware.observer.region_born(start, start + size, "firmware", MemoryType.LoaderData.name, name)
        return start

    def _make_heap(self) -> tuple[int, int]:
        """The TXT heap with the firmware's part, reserved at power-on."""
        size, kind = self._settings.heap_bytes, MemoryType.ReservedMemoryType
        part = heap.firmware_part(1 + len(self._settings.parked))
        if not self.txt or size < PAGE:
            return 0, 0
        start = self._firmware.memory_map.allocate(
            AllocateType.MaxAddress, kind, size // PAGE, dlme.LIMIT - 1, owner=Owner.FIRMWARE
        )
        self._firmware.observer.region_born(start, start + size, "firmware", kind.name, "TXT heap")
        self._firmware.memory.write(start, part)
        return start, size

    def _policy(self) -> tuple[Measured, ...]:
        rows = policy(GENERATIONS[self._settings.generation], DETAILS, AUTHORITIES)
        return (*rows, Measured(AUTHORITIES, Entity.TXT_OS2MLE, "Measured TXT OS-MLE data")) if self.txt else rows

    def _fill_heap(self, found: Dlme) -> None:
        start, size = self.heap
        if not size:
            return
        if found.size > _MOST:
            raise DlmeError(f"it has {found.size} bytes, and {_MOST} are the most that there are page tables for")
        memory = self._firmware.memory
        memory.write(self._page_tables, heap.page_tables(found.base, found.size, self._page_tables))
        part = heap.loader_part(
            heap.Heap(
                slrt=self.address,
                intel_info=self.address + self._places[Tag.INTEL_INFO],
                page_tables=self._page_tables,
                mle_size=found.size,
                mle_header=found.header_offset,
                protected=(0, -(-max(found.end, self._end) // heap.PMR_UNIT) * heap.PMR_UNIT),
                log=self._contents.log,
                wake_block=(self._wake_block, _WAKE_BLOCK),
                boot_params=found.table if self._layout.addresses == 1 else 0,
                rsdp=self._firmware.configuration.tables.get(guids.ACPI_20_TABLE, 0),
            )
        )
        at = len(heap.firmware_part(0))
        # Firmware that has given too small a heap is a case for the preamble, which finds no tables there.
        if at + len(part) <= size:
            memory.write(start + at, part)
