"""Page tables as the CPU would walk them, by the state's registers: the tables, and where addresses lead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from efi_services.ports import MemoryFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PAGE = 4096
_ADDRESS = 0x000F_FFFF_FFFF_F000
#: More tables than a map of all memory in pages of 4 KiB needs on the largest platform that is likely to be used.
_MOST_TABLES = 1 << 16
#: Of CR0, CR4 and EFER (Intel SDM volume 3, section 2.5); of SCTLR (DDI 0487, section D19.2.118).
_PG, _PAE, _LA57, _LMA, _NXE = 1 << 31, 1 << 5, 1 << 12, 1 << 10, 1 << 11
_MMU = 1


class UnknownPagingError(Exception):
    """Page tables of a form that is not read here; one sentence says which."""


@dataclass(frozen=True, slots=True)
class Page:
    """Where an address leads: the physical one, the bytes that the entry maps, and whether they may be executed."""

    physical: int
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Paging:
    """One map: the first table, the first bit of an address that each level selects by, and how entries are spelt.

    A page above the last level has *large*'s bits under its mask; *never* are the bits of which one forbids execution.
    """

    root: int
    shifts: tuple[int, ...]
    large: tuple[int, int]
    never: int
    view: Callable[[int, int], memoryview]
    #: Entries of the first table, where it is not a whole one.
    first: int = 512

    def walk(self, address: int) -> Page | None:
        """Where *address* leads; None where nothing is mapped."""
        table, executable = self.root, True
        for level, shift in enumerate(self.shifts):
            index = address >> shift & ((self.first if level == 0 else 512) - 1)
            entry = int.from_bytes(self.view(table + 8 * index, 8), "little")
            if not entry & 1:
                return None
            executable = executable and not entry & self.never
            if self._ends(entry, level):
                offset = (1 << shift) - 1
                return Page(entry & _ADDRESS & ~offset | address & offset, 1 << shift, executable)
            table = entry & _ADDRESS
        return None

    def tables(self) -> Iterator[int]:
        """The address of every table."""
        seen = {self.root & -PAGE}
        level_tables = [self.root]
        yield self.root & -PAGE
        for level in range(len(self.shifts) - 1):
            following = []
            for table in level_tables:
                entries = self.view(table, 8 * (self.first if level == 0 else 512)).cast("Q")
                for entry in filter(None, entries):
                    address = entry & _ADDRESS
                    if entry & 1 and not self._ends(entry, level) and address not in seen:
                        if len(seen) >= _MOST_TABLES:
                            raise UnknownPagingError(f"there are more than {_MOST_TABLES} page tables")
                        seen.add(address)
                        following.append(address)
                        yield address
            level_tables = following

    def unlike_identity(self, start: int, end: int) -> int | None:
        """The first address of a range that doesn't lead to itself; None: all do."""
        at = start
        while at < end:
            try:
                page = self.walk(at)
            except MemoryFault:
                return at
            if page is None or page.physical != at:
                return at
            at = (at | (page.size - 1)) + 1
        return None

    def _ends(self, entry: int, level: int) -> bool:
        mask, bits = self.large
        return level == len(self.shifts) - 1 or entry & mask == bits


def summary(architecture: str, registers: Mapping[str, int], view: Callable[[int, int], memoryview]) -> dict[str, Any]:
    """What a hand-off's state has of the map: whether it is on, its first table, levels, and how many tables."""
    try:
        found = of(architecture, registers, view)
        if found is None:
            return {"on": False}
        return {"on": True, "root": found.root, "levels": len(found.shifts), "tables": sum(1 for _ in found.tables())}
    except MemoryFault as fault:
        return {"on": True, "broken": f"a table lies at {fault.address:#x}, where there is no memory"}
    except UnknownPagingError as why:
        return {"on": True, "broken": str(why)}


def of(architecture: str, registers: Mapping[str, int], view: Callable[[int, int], memoryview]) -> Paging | None:
    """The map that the CPU uses; None while there is none, and of architectures whose kernels start without one.

    Raises:
        UnknownPagingError: it is of another form than those that are read here.
    """
    reader = _READERS.get(architecture)
    return None if reader is None else reader(registers, view)


def of_x86(registers: Mapping[str, int], view: Callable[[int, int], memoryview]) -> Paging | None:
    """What CR3 leads to; None while paging is off (Intel SDM volume 3, chapter 4)."""
    cr0, cr4, efer = registers["cr0"], registers["cr4"], registers["efer"]
    if not cr0 & _PG:
        return None
    if not cr4 & _PAE:
        raise UnknownPagingError("32-bit paging without PAE is not read here")
    never = 1 << 63 if efer & _NXE else 0
    large = (0x80, 0x80)
    if not efer & _LMA:
        return Paging(registers["cr3"] & -32, (30, 21, 12), large, never, view, first=4)
    shifts = (48, 39, 30, 21, 12) if cr4 & _LA57 else (39, 30, 21, 12)
    return Paging(registers["cr3"] & _ADDRESS, shifts, large, never, view)


def of_arm64(registers: Mapping[str, int], view: Callable[[int, int], memoryview]) -> Paging | None:
    """What TTBR0 of the CPU's level leads to; None while the MMU is off (DDI 0487, section D8.2)."""
    level = registers["pstate"] >> 2 & 3
    if level not in (1, 2):
        raise UnknownPagingError(f"page tables of EL{level} are not read here")
    names = [f"{name}_el{level}" for name in ("sctlr", "ttbr0", "tcr")]
    if not registers.keys() >= set(names):
        # A guest may have left the level that it was started at.
        raise UnknownPagingError(f"the registers of EL{level} are not known")
    control, table, settings = map(registers.__getitem__, names)
    if not control & _MMU:
        return None
    bits = 64 - (settings & 0x3F)
    if settings >> 14 & 3 or not 30 < bits <= 48:
        raise UnknownPagingError("page tables of another form than 48 bits in pages of 4 KiB are not read here")
    shifts = tuple(each for each in (39, 30, 21, 12) if each < bits)
    return Paging(table & 0x0000_FFFF_FFFF_FFFE, shifts, (2, 0), 3 << 53, view)


_READERS: Mapping[str, Callable[[Mapping[str, int], Callable[[int, int], memoryview]], Paging | None]] = {
    "x86_64": of_x86, "i386": of_x86, "aarch64": of_arm64,
}  # fmt: skip
