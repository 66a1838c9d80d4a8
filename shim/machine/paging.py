"""Page tables of the firmware's own: an identity map in which data can't be executed.

x86-64 four-level paging (Intel SDM volume 3, section 4.5). Pages that may be both written and executed are
mapped not executable until they are first executed: a store to an executable page takes Unicorn's slow path,
and a stub writes tens of megabytes into pages of a code type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.ports import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.machine.ram import Ram

PAGE = 4096
LARGE = 2 << 20
_PRESENT, _WRITE, _SIZE, _NX = 1, 2, 0x80, 1 << 63
#: Bits that the CPU ignores: the page is RAM of this map; it may be executed although it is mapped otherwise.
_KNOWN, _LAZY = 1 << 9, 1 << 10
_ADDRESS = 0x000F_FFFF_FFFF_F000
#: What four levels can tell apart; higher addresses would look like low ones.
_LIMIT = 1 << 48
_PERMISSIONS = _PRESENT | _WRITE | _NX | _KNOWN | _LAZY


def table_bytes(ranges: tuple[tuple[int, int], ...]) -> int:
    """Room that the tables of an identity map of *ranges* can ever need."""
    large = sum(-(-end // LARGE) - start // LARGE for start, end in ranges)
    top = max((end for _, end in ranges), default=0)
    return (1 + -(-top // (512 << 30)) + -(-top // (1 << 30)) + large) * PAGE


class PageTables:
    """The identity map of some RAM; `flush` is called after each change."""

    def __init__(self, ram: Ram, base: int, ranges: tuple[tuple[int, int], ...]) -> None:
        self._ram = ram
        self._next = base
        self.end = base + table_bytes(ranges)
        self.flush: Callable[[], None] = lambda: None
        self._writable_code: list[tuple[int, int]] = []
        self.root = self._new_table()
        for start, end in ranges:
            self._cover(start, end)

    def protect(self, start: int, size: int, access: Access) -> None:
        """Give the pages of a range this access; what isn't mapped stays so."""
        bits = _encode(access)
        first, last = start & -PAGE, -(-(start + size) // PAGE) * PAGE
        self._writable_code = [each for each in self._writable_code if each[0] < first or each[1] > last]
        if bits & _LAZY:
            self._writable_code.append((first, last))
        self._set(first, last, bits)
        self.flush()

    def _set(self, start: int, end: int, bits: int) -> None:
        for table, index, covered, address in self._entries(start, end):
            entry = table[index]
            if entry & _KNOWN and entry & _PERMISSIONS != bits:
                if covered == LARGE and (address % LARGE or end - address < LARGE):
                    self._split(table, index)
                    self._set(address, min(end, (address | (LARGE - 1)) + 1), bits)
                else:
                    table[index] = (entry & ~_PERMISSIONS) | bits

    def access(self, address: int) -> Access | None:
        """What the page at *address* allows; None where nothing is mapped."""
        for table, index, _, _ in self._entries(address, address + 1):
            if table[index] & _KNOWN:
                return _decode(table[index])
        return None

    def execute(self, address: int) -> bool:
        """The CPU fetched from a page that isn't executable: make it so if it may be. Says whether it was.

        All pages that got their access together with it become executable at once.
        """
        if not self._is_lazy(address):
            return False
        start, end = next(each for each in reversed(self._writable_code) if each[0] <= address < each[1])
        for table, index, _, _ in self._entries(start, end):
            if table[index] & _LAZY:
                table[index] &= ~_NX
        self.flush()
        return True

    def _is_lazy(self, address: int) -> bool:
        return any(
            table[index] & _LAZY and table[index] & _NX for table, index, _, _ in self._entries(address, address + 1)
        )

    def executable(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a range from which code may have been translated, each within one page."""
        for table, index, covered, address in self._entries(start, end):
            if table[index] & _PRESENT and not table[index] & _NX:
                yield address, min(end, (address | (covered - 1)) + 1)

    def _entries(self, start: int, end: int) -> Iterator[tuple[memoryview, int, int, int]]:
        """The last-level entries that map a range: table, index, bytes covered, first address of interest."""
        address, end = start, min(end, _LIMIT)
        while address < end:
            table = self._table(self.root)
            covered = PAGE
            for shift in (39, 30, 21):
                index = address >> shift & 511
                entry = table[index]
                if entry & _SIZE or not entry & (_PRESENT | _KNOWN):
                    covered = 1 << shift
                    break
                table = self._table(entry & _ADDRESS)
            else:
                index = address >> 12 & 511
            yield table, index, covered, address
            address = (address | (covered - 1)) + 1

    def _cover(self, start: int, end: int) -> None:
        bits = _encode(Access.RW)
        address = start
        while address < end:
            table = self._table(self.root)
            for shift in (39, 30):
                table = self._descend(table, address >> shift & 511)
            index = address >> 21 & 511
            if address % LARGE == 0 and end - address >= LARGE:
                table[index] = address | _SIZE | bits
                address += LARGE
            else:
                table = self._descend(table, index)
                table[address >> 12 & 511] = address | bits
                address += PAGE

    def _descend(self, table: memoryview, index: int) -> memoryview:
        if not table[index]:
            table[index] = self._new_table() | _PRESENT | _WRITE
        return self._table(table[index] & _ADDRESS)

    def _split(self, table: memoryview, index: int) -> None:
        entry = table[index]
        start, bits = entry & _ADDRESS & -LARGE, entry & _PERMISSIONS
        made = self._new_table()
        small = self._table(made)
        for i in range(512):
            small[i] = start + i * PAGE | bits
        table[index] = made | _PRESENT | _WRITE

    def _new_table(self) -> int:
        address = self._next
        self._next += PAGE
        assert self._next <= self.end, "table_bytes is too small"
        return address

    def _table(self, address: int) -> memoryview:
        return self._ram.view(address, PAGE).cast("Q")


def _encode(access: Access) -> int:
    bits = _KNOWN | _NX
    if Access.READ in access:
        bits |= _PRESENT
    if Access.WRITE in access:
        bits |= _WRITE
    if Access.EXECUTE in access:
        bits = bits | _LAZY if Access.WRITE in access else bits & ~_NX
    return bits


def _decode(entry: int) -> Access:
    access = Access.NONE
    if entry & _PRESENT:
        access |= Access.READ
    if entry & _WRITE:
        access |= Access.WRITE
    if entry & _LAZY or not entry & _NX:
        access |= Access.EXECUTE
    return access
