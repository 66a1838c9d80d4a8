"""Page tables of the firmware's own: an identity map in which data can't be executed.

Levels of tables of 512 entries, as several architectures have them; how many there are, and how an entry is spelt, is
data. Pages that may be both written and executed are mapped not executable until they are first executed: a store to an
executable page takes Unicorn's slow path, and a stub writes tens of megabytes into pages of a code type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.ports import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.machine.ram import Ram

PAGE = 4096
LARGE = 2 << 20
_ADDRESS = 0x000F_FFFF_FFFF_F000
#: The first bit of an address that selects an entry, by level; the page's own address lies below the last.
_LEVELS = (39, 30, 21, 12)


@dataclass(frozen=True, slots=True)
class EntryFormat:
    """How an architecture spells an entry: bits 12 to 51 of the address, moved down by *shift* bits, and these.

    A permission is a mask and a value: the entry gives it where its bits under the mask have the value. Without READ an
    entry maps nothing. *known* and *lazy* are bits that the CPU ignores: the page is RAM of this map; it may be
    executed although it is mapped otherwise. *page* and *large_page* are the bits that entries for 4 KiB and 2 MiB have
    besides. *table* is a mask that tells an entry which leads to another table, and all bits of such an entry.
    Addresses have *bits* bits that tables can tell apart: levels that have nothing to select are not there. *root* are
    the bits of an entry of the first table, where it has others.
    """

    read: tuple[int, int]
    write: tuple[int, int]
    execute: tuple[int, int]
    known: int
    lazy: int
    page: int
    large_page: int
    table: tuple[int, int]
    bits: int = 48
    root: int | None = None
    shift: int = 0

    def address(self, entry: int) -> int:
        """Where an entry leads."""
        return entry << self.shift & _ADDRESS

    def leading_to(self, address: int) -> int:
        """The bits of an entry that leads to *address*."""
        return address >> self.shift

    @property
    def levels(self) -> tuple[int, ...]:
        """The first bit that each level selects by."""
        return tuple(each for each in _LEVELS if each < self.bits)

    @property
    def permissions(self) -> int:
        """All bits that change with what a page allows."""
        return self.read[0] | self.write[0] | self.execute[0] | self.known | self.lazy

    def encode(self, access: Access) -> int:
        """The bits of a page that allows *access*; not yet executable where it may be written, too."""
        lazy = Access.WRITE in access and Access.EXECUTE in access
        bits = self.known | (self.lazy if lazy else 0)
        for each, (mask, value) in self._spelling:
            bits |= value if each in access and not (lazy and each is Access.EXECUTE) else mask ^ value
        return bits

    def decode(self, entry: int) -> Access:
        """What a page with this entry allows."""
        access = Access.NONE
        for each, (mask, value) in self._spelling:
            if entry & mask == value or (each is Access.EXECUTE and entry & self.lazy):
                access |= each
        return access

    def is_executable(self, entry: int) -> bool:
        """Whether the CPU can execute the page by now."""
        return entry & self.read[0] == self.read[1] and entry & self.execute[0] == self.execute[1]

    def made_executable(self, entry: int) -> int:
        """The entry of a page that has been mapped not executable until now."""
        return entry & ~self.execute[0] | self.execute[1]

    @property
    def _spelling(self) -> tuple[tuple[Access, tuple[int, int]], ...]:
        return (Access.READ, self.read), (Access.WRITE, self.write), (Access.EXECUTE, self.execute)


def table_bytes(ranges: tuple[tuple[int, int], ...]) -> int:
    """Room that the tables of an identity map of *ranges* can ever need."""
    large = sum(-(-end // LARGE) - start // LARGE for start, end in ranges)
    top = max((end for _, end in ranges), default=0)
    return (1 + -(-top // (512 << 30)) + -(-top // (1 << 30)) + large) * PAGE


class PageTables:
    """The identity map of some RAM, with entries of some form; `flush` is called after each change."""

    def __init__(self, ram: Ram, base: int, ranges: tuple[tuple[int, int], ...], form: EntryFormat) -> None:
        self._form = form
        self._top, *self._lower = form.levels
        self._next = base
        self.end = base + table_bytes(ranges)
        #: The entries of all tables, the root's first.
        self._words = ram.view(base, self.end - base).cast("Q")
        self._decoded: dict[int, Access] = {}
        self.flush: Callable[[], None] = lambda: None
        self._writable_code: list[tuple[int, int]] = []
        self.root = self._new_table()
        for start, end in ranges:
            self._cover(start, end)

    def protect(self, start: int, size: int, access: Access) -> None:
        """Give the pages of a range this access; what isn't mapped stays so."""
        bits = self._form.encode(access)
        first, last = start & -PAGE, -(-(start + size) // PAGE) * PAGE
        self._writable_code = [each for each in self._writable_code if each[0] < first or each[1] > last]
        if bits & self._form.lazy:
            self._writable_code.append((first, last))
        self._set(first, last, bits)
        self.flush()

    def _set(self, start: int, end: int, bits: int) -> None:
        entries, known, permissions = self._words, self._form.known, self._form.permissions
        for at, covered, address in self._entries(start, end):
            entry = entries[at]
            if entry & known and entry & permissions != bits:
                part = address % LARGE or end - address < LARGE
                # There is room for all that can be split, but not for what a guest has put together again.
                if covered == LARGE and part and self._next < self.end:
                    self._split(at)
                    self._set(address, min(end, (address | (LARGE - 1)) + 1), bits)
                else:
                    entries[at] = (entry & ~permissions) | bits

    def withdraw(self, bit: int) -> None:
        """Clear a bit in all entries, once no CPU uses them any more."""
        entries = self._words
        for at, entry in enumerate(entries):
            if entry & bit:
                entries[at] = entry & ~bit
        self.flush()

    def runs(self, start: int, end: int) -> Iterator[tuple[int, int, Access | None]]:
        """Start and end of the parts of a range whose pages are alike, and what they allow; None: not mapped."""
        before, since = self.access(start), start
        for at, _, address in self._entries(start, end):
            access = self._allowed(at)
            if access is not before:
                yield since, address, before
                before, since = access, address
        limit = 1 << self._form.bits
        if since < min(end, limit):
            yield since, min(end, limit), before
        if end > limit:
            yield max(start, limit), end, None

    def access(self, address: int) -> Access | None:
        """What the page at *address* allows; None where nothing is mapped."""
        return next((self._allowed(at) for at, _, _ in self._entries(address, address + 1)), None)

    def _allowed(self, at: int) -> Access | None:
        bits = self._words[at] & self._form.permissions
        if not bits & self._form.known:
            return None
        if bits not in self._decoded:
            self._decoded[bits] = self._form.decode(bits)
        return self._decoded[bits]

    def execute(self, address: int) -> bool:
        """The CPU fetched from a page that isn't executable: make it so if it may be. Says whether it was.

        All pages that got their access together with it become executable at once.
        """
        ranges = (each for each in reversed(self._writable_code) if each[0] <= address < each[1])
        start, end = next(ranges, (0, 0)) if self._is_lazy(address) else (0, 0)
        if start == end:
            return False
        for at, _, _ in self._entries(start, end):
            if self._words[at] & self._form.lazy:
                self._words[at] = self._form.made_executable(self._words[at])
        self.flush()
        return True

    def _is_lazy(self, address: int) -> bool:
        entries = (self._words[at] for at, _, _ in self._entries(address, address + 1))
        return any(each & self._form.lazy and each != self._form.made_executable(each) for each in entries)

    def executable(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a range from which code may have been translated, each within one page."""
        for at, covered, address in self._entries(start, end):
            if self._form.is_executable(self._words[at]):
                yield address, min(end, (address | (covered - 1)) + 1)

    def _entries(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The last-level entries that map a range: place, bytes covered, first address of interest."""
        entries, count = self._words, len(self._words)
        mask, bits = self._form.table
        bits &= mask
        moved = self._form.shift
        # Higher addresses would look like low ones.
        address, end = start, min(end, 1 << self._form.bits)
        while address < end:
            at, covered = address >> self._top, 1 << self._top
            for shift in self._lower:
                entry = entries[at]
                # A guest that writes to the tables may make an entry lead elsewhere.
                table = (entry << moved & _ADDRESS) - self.root >> 3
                if entry & mask != bits or not 0 <= table < count:
                    break
                at, covered = table + (address >> shift & 511), 1 << shift
            yield at, covered, address
            address = (address | (covered - 1)) + 1

    def _cover(self, start: int, end: int) -> None:
        bits = self._form.encode(Access.RW)
        address = start
        while address < end:
            at = address >> self._top
            for shift in self._lower[:-1]:
                at = self._descend(at) + (address >> shift & 511)
            if address % LARGE == 0 and end - address >= LARGE:
                self._words[at] = self._form.leading_to(address) | self._form.large_page | bits
                address += LARGE
            else:
                last = self._descend(at) + (address >> 12 & 511)
                self._words[last] = self._form.leading_to(address) | self._form.page | bits
                address += PAGE

    def _descend(self, at: int) -> int:
        """The place of the table to which an entry leads; where it leads nowhere, to a new one."""
        if not self._words[at]:
            bits = self._form.table[1] if at > 511 or self._form.root is None else self._form.root
            self._words[at] = self._form.leading_to(self._new_table()) | bits
        return self._form.address(self._words[at]) - self.root >> 3

    def _split(self, at: int) -> None:
        entry = self._words[at]
        start, bits = self._form.address(entry) & -LARGE, entry & self._form.permissions | self._form.page
        made = self._new_table()
        for i in range(512):
            self._words[(made - self.root >> 3) + i] = self._form.leading_to(start + i * PAGE) | bits
        self._words[at] = self._form.leading_to(made) | self._form.table[1]

    def _new_table(self) -> int:
        address = self._next
        self._next += PAGE
        assert self._next <= self.end, "table_bytes is too small"
        return address
