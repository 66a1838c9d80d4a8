"""Who wrote watched bytes last: an instruction, a service, or nobody."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from shim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Bytes that may be watched: for each there are five words.
MOST_WATCHED = 4 << 20
#: No machine has memory from here on.
TOP = 1 << 62
_ROW = np.dtype([("address", "<u8"), ("key", "<u8")])
_WRITE, _PC = np.uint64(1 << 63), np.uint64((1 << 56) - 1)
_LOG2_SHIFT, _LOG2_MASK = np.uint64(56), np.uint64(7)
_LARGEST = 8
_NOBODY = -2


@dataclass(frozen=True, slots=True)
class Writer:
    """Who wrote *size* bytes, *offset* bytes into what was asked for.

    An instruction has *pc* and *seq*, the number of its access; a service has *call*, which is -1 before the first one;
    nobody has neither.
    """

    offset: int
    size: int
    pc: int | None = None
    seq: int | None = None
    call: int | None = None


class LastWriters:
    """The last writer of each byte in *ranges*, which are pairs of start and size and may overlap.

    Rows of accesses and writes by services may come from different threads: each has its own words, and what counts is
    how many accesses were before.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        wanted = _merged(ranges)
        sizes = [end - start for start, end in wanted]
        if sum(sizes) > MOST_WATCHED:
            raise UsageError(f"{sum(sizes)} bytes can't be watched: {MOST_WATCHED} are the most")
        if wanted and not 0 <= wanted[0][0] < wanted[-1][1] <= TOP:
            raise UsageError(f"what is no memory can't be watched: {wanted[0][0]:#x} to {wanted[-1][1]:#x}")
        self._starts = np.array([start for start, _ in wanted], np.uint64)
        self._ends = np.array([end for _, end in wanted], np.uint64)
        #: Where in the words below each range begins.
        self._at = np.cumsum([0, *sizes], dtype=np.int64)
        total = int(self._at[-1])
        self._seq = np.full(total, -1, np.int64)
        self._pc = np.zeros(total, np.uint64)
        self._before = np.full(total, -1, np.int64)
        self._call = np.full(total, _NOBODY, np.int64)

    def rows(self, rows: Any, first: int) -> None:
        """Accesses of the CPU, packed as the recorder has them; *first* is the number of the first."""
        table = np.frombuffer(rows, _ROW)
        if not len(self._starts) or not len(table):
            return
        address, key = table["address"], table["key"]
        reach = address + np.uint64(_LARGEST)
        near = np.flatnonzero((key >= _WRITE) & (reach > self._starts[0]) & (address < self._ends[-1]))
        if not len(near):
            return
        address, key = address[near], key[near]
        size = np.uint64(1) << (key >> _LOG2_SHIFT & _LOG2_MASK)
        for offset in range(_LARGEST):
            reached = np.flatnonzero(size > offset)
            place, within = self._places(address[reached] + np.uint64(offset))
            if not len(place):
                continue
            hit = reached[within]
            seq = near[hit] + first
            np.maximum.at(self._seq, place, seq)
            latest = self._seq[place] == seq
            self._pc[place[latest]] = key[hit[latest]] & _PC

    def service(self, seq: int, call: int, address: int, size: int) -> None:
        """A service wrote for the guest, behind *seq* accesses."""
        for place, start, end in self._pieces(address, address + size):
            self._before[place : place + end - start] = seq
            self._call[place : place + end - start] = call

    def of(self, address: int, size: int) -> Iterator[Writer]:
        """Who wrote the watched bytes among these, in runs of one writer each."""
        for place, start, end in self._pieces(address, address + size):
            words = slice(place, place + end - start)
            seq, before = self._seq[words], self._before[words]
            by_cpu = (seq >= 0) & (seq >= before)
            pc = np.where(by_cpu, self._pc[words], 0)
            access = np.where(by_cpu, seq, -1)
            # Of a service's bytes and of nobody's only the call tells.
            call = np.where(by_cpu, _NOBODY, np.where(before >= 0, self._call[words], _NOBODY))
            at = start - address
            each_byte = zip(call.tolist(), pc.tolist(), access.tolist(), strict=True)
            for (by, instruction, number), run in groupby(each_byte):
                length = len(list(run))
                if number >= 0:
                    yield Writer(at, length, instruction, number)
                else:
                    yield Writer(at, length, call=None if by == _NOBODY else by)
                at += length

    def _places(self, addresses: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Where the words of those addresses are that are watched, and which of the addresses that is."""
        index = np.searchsorted(self._ends, addresses, "right")
        within = np.flatnonzero(self._starts[np.minimum(index, len(self._starts) - 1)] <= addresses)
        within = within[index[within] < len(self._starts)]
        index = index[within]
        return self._at[index] + (addresses[within] - self._starts[index]).astype(np.int64), within

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Of the watched ranges what lies between two addresses: where its words are, and its ends."""
        for place, low, high in zip(self._at.tolist(), self._starts.tolist(), self._ends.tolist(), strict=False):
            first, last = max(start, low), min(end, high)
            if first < last:
                yield place + first - low, first, last


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, size in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], start + size)
        elif size > 0:
            merged.append((start, start + size))
    return merged
