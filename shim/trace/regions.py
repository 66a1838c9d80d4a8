"""Who owns which bytes, while the run goes on and afterwards."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from efi_services.ports import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Characters of a region's name; a hostile payload could have the same buffer filled with many things.
_MOST_NAMED = 200


@dataclass(slots=True)
class Region:
    """Bytes with one owner; `end` is exclusive, calls are sequence numbers. Number 0: memory that was freed.

    *fresh* is set as long as nothing has been a region in its place but it: nobody has written there yet.
    """

    id: int
    start: int
    end: int
    kind: str
    owner: str
    type: str
    name: str
    born_call: int | None
    access: Access = Access.RW
    fresh: bool = True
    died_call: int | None = None
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass(slots=True)
class RegionLog:
    """The regions that are alive; they don't overlap. *bury* gets each that died, so that none need be kept.

    Freed memory stays in the list until it is given out again, as regions with the number 0.
    *replaced* is told first: of the list, first and last index (exclusive) of those that are over, these
    themselves, and those that stand there now.
    """

    bury: Callable[[Region], None]
    replaced: Callable[[int, int, list[Region], list[Region]], None] = lambda _first, _last, _gone, _new: None
    _count: int = 0
    _starts: list[int] = field(default_factory=list)
    _listed: list[Region] = field(default_factory=list)

    def born(
        self,
        start: int,
        end: int,
        kind: str,
        owner: str,
        type_: str,
        name: str,
        call: int | None,
        access: Access = Access.RW,
    ) -> None:
        """Bytes got an owner; whoever had them before loses them."""
        self._count += 1
        self._put(start, end, Region(self._count, start, end, kind, owner, type_, name, call, access), call)

    def died(self, start: int, end: int, call: int | None) -> None:
        """Nobody owns these bytes any more; what is left of a region that was larger is a region of its own."""
        for low, high in [(start, end) for region, start, end in self.pieces(start, end) if region and region.id]:
            self._put(low, high, Region(0, low, high, "freed", "", "", "", call), call)

    def named(self, address: int, name: str) -> None:
        """Say what was put into the memory at *address*; a stack or an image is not named after what it holds."""
        region = self.at(address)
        if region is None or region.kind not in ("pages", "pool", "firmware") or name in region.name.split(", "):
            return
        region.name = ", ".join(filter(None, (region.name, name)))[:_MOST_NAMED]

    def end(self) -> None:
        """The run is over: every region that is alive is buried."""
        self._replace(0, len(self._listed), [])

    def __iter__(self) -> Iterator[Region]:
        return (each for each in self._listed if each.id)

    def at(self, address: int) -> Region | None:
        """Who owns the byte at *address* now, or that it was freed."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._listed[index].end:
            return self._listed[index]
        return None

    def pieces(self, start: int, end: int) -> Iterator[tuple[Region | None, int, int]]:
        """Who owns which part of a range now: the region or None, and the part's start and end."""
        index = max(bisect_right(self._starts, start) - 1, 0)
        while start < end:
            while index < len(self._listed) and self._listed[index].end <= start:
                index += 1
            region = self._listed[index] if index < len(self._listed) else None
            if region is not None and region.start <= start:
                stop = min(region.end, end)
            else:
                stop = min(region.start, end) if region else end
                region = None
            yield region, start, stop
            start = stop

    def _put(self, start: int, end: int, region: Region, call: int | None) -> None:
        """Let *region* have start..end, and others what they have besides."""
        first = bisect_right(self._starts, start) - 1
        if first < 0 or self._listed[first].end <= start:
            first += 1
        last = first
        while last < len(self._listed) and self._listed[last].start < end:
            last += 1
        left = [self._rest(each, each.start, start, call) for each in self._listed[first:last] if each.start < start]
        right = [self._rest(each, end, each.end, call) for each in self._listed[first:last] if each.end > end]
        for each in self._listed[first:last]:
            each.died_call = call
        self._replace(first, last, [*left, region, *right])

    def _rest(self, region: Region, start: int, end: int, call: int | None) -> Region:
        if not region.id:
            return replace(region, start=start, end=end, fresh=False)
        self._count += 1
        return replace(
            region, id=self._count, start=start, end=end, born_call=call, fresh=False, bytes_read=0, bytes_written=0
        )

    def _replace(self, first: int, last: int, new: list[Region]) -> None:
        gone = self._listed[first:last]
        self.replaced(first, last, gone, new)
        self._listed[first:last] = new
        self._starts[first:last] = [each.start for each in new]
        for each in gone:
            if each.id:
                self.bury(each)
