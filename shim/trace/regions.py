"""Who owns which bytes, while the run goes on and afterwards."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(slots=True)
class Region:
    """Bytes with one owner; `end` is exclusive, calls are sequence numbers."""

    id: int
    start: int
    end: int
    kind: str
    owner: str
    name: str
    born_call: int | None
    died_call: int | None = None
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass(slots=True)
class RegionLog:
    """The regions that are alive; they don't overlap. *bury* gets each that died, so that none need be kept.

    *replaced* is told first: of the list of live regions, first and last index (exclusive) of those that are over,
    these themselves, and those that stand there now.
    """

    bury: Callable[[Region], None]
    replaced: Callable[[int, int, list[Region], list[Region]], None] = lambda _first, _last, _gone, _new: None
    _count: int = 0
    _starts: list[int] = field(default_factory=list)
    _alive: list[Region] = field(default_factory=list)

    def born(self, start: int, end: int, kind: str, owner: str, name: str, call: int | None) -> None:
        """Bytes got an owner; whoever had them before loses them."""
        self.died(start, end, call)
        region = self._new(start, end, kind, owner, name, call)
        index = bisect_right(self._starts, start)
        self._replace(index, index, [region])

    def died(self, start: int, end: int, call: int | None) -> None:
        """Nobody owns these bytes any more; what is left of a region that was larger is a region of its own."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        last = first
        left: list[Region] = []
        while last < len(self._alive) and self._alive[last].start < end:
            region = self._alive[last]
            if region.end <= start:
                first = last = last + 1
                continue
            region.died_call = call
            left.extend(
                self._new(*part, region.kind, region.owner, region.name, call)
                for part in ((region.start, min(region.end, start)), (max(region.start, end), region.end))
                if part[0] < part[1]
            )
            last += 1
        if last > first:
            self._replace(first, last, left)

    def end(self) -> None:
        """The run is over: every region that is alive is buried."""
        self._replace(0, len(self._alive), [])

    def __iter__(self) -> Iterator[Region]:
        return iter(self._alive)

    def at(self, address: int) -> Region | None:
        """Who owns the byte at *address* now."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._alive[index].end:
            return self._alive[index]
        return None

    def pieces(self, start: int, end: int) -> Iterator[tuple[Region | None, int, int]]:
        """Who owns which part of a range now: the region or None, and the part's start and end."""
        index = max(bisect_right(self._starts, start) - 1, 0)
        while start < end:
            while index < len(self._alive) and self._alive[index].end <= start:
                index += 1
            region = self._alive[index] if index < len(self._alive) else None
            if region is not None and region.start <= start:
                stop = min(region.end, end)
            else:
                stop = min(region.start, end) if region else end
                region = None
            yield region, start, stop
            start = stop

    def _replace(self, first: int, last: int, new: list[Region]) -> None:
        gone = self._alive[first:last]
        self.replaced(first, last, gone, new)
        self._alive[first:last] = new
        self._starts[first:last] = [each.start for each in new]
        for each in gone:
            self.bury(each)

    def _new(self, start: int, end: int, kind: str, owner: str, name: str, call: int | None) -> Region:
        self._count += 1
        return Region(self._count, start, end, kind, owner, name, call)
