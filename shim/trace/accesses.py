"""Memory accesses, folded while they happen: what every recorder gives, and the reference in plain Python."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.trace.regions import Region, RegionLog

_ROW = struct.Struct("<QQ")
_HASH_AT = 1 << 20
_LOG2 = {1: 0, 2: 1, 4: 2, 8: 3, 16: 4, 32: 5, 64: 6}

#: Regions whose bytes somebody has to write before anybody reads them: what a guest allocates, and its stack.
CHECKED_KINDS = frozenset({"pages", "pool", "stack"})
UNWRITTEN = "read-of-unwritten"


@dataclass(frozen=True, slots=True)
class Noticed:
    """A finding about accesses: its kind, the first case in words, the call before it, and how many."""

    kind: str
    first: str
    first_call: int | None
    count: int


class Recorder(Protocol):
    """What watches the accesses of a run.

    `summary`, `rows`, `coverage` and `findings` are asked for in this order when all regions have ended.
    """

    name: str

    def access(self, pc: int, address: int, size: int, write: bool) -> None:
        """The CPU accessed memory."""

    def service_access(self, address: int, size: int, write: bool) -> None:
        """The firmware read or wrote memory for the guest."""

    def summary(self) -> dict[str, Any]:
        """Totals and the digest over all rows, as run.json has them."""

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows of the table *touched*."""

    def coverage(self) -> Iterator[tuple[int, bool, int, int]]:
        """Runs of bytes that the CPU touched: region, whether it wrote, start, end."""

    def findings(self) -> Iterator[Noticed]:
        """What was remarkable about the accesses."""


class ServiceFold:
    """What services read and write for the guest, by region, gate and direction."""

    def __init__(self, regions: RegionLog, calls_begun: Callable[[], int], gate: Callable[[], int]) -> None:
        self._regions = regions
        self._calls_begun = calls_begun
        self._gate = gate
        self._folded: dict[tuple[int, int, bool], list[int]] = {}

    def add(self, address: int, size: int, write: bool) -> None:
        """One access, which may reach over several regions."""
        call = self._calls_begun()
        for region, start, end in self._regions.pieces(address, address + size):
            key = (region.id if region else 0, self._gate(), write)
            entry = self._folded.setdefault(key, [0, 0, call, call])
            entry[0] += 1
            entry[1] += end - start
            entry[3] = call

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Rows of *touched*: the accesses differ in size, and aren't counted among the CPU's."""
        for (region, pc, write), (count, size, first, last) in self._folded.items():
            yield ("service", region, pc, write, 0, count, size, None, None, first, last)


def ordered(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows of *touched* in the order in which they are kept."""
    return sorted(rows, key=lambda row: row[:5])


def unwritten_finding(count: int, pc: int, address: int, where: str, calls_begun: int) -> Noticed:
    """Bytes were read that nobody wrote since their memory was given out."""
    return Noticed(
        UNWRITTEN, f"{address:#x} in {where}, read at {pc:#x}", calls_begun - 1 if calls_begun else None, count
    )


@dataclass(slots=True)
class PythonRecorder:
    """The reference: every access by itself, in a dictionary, and a byte for each byte of memory below *top*.

    The digest is SHA-256 over all rows in order, each two little-endian u64: the address, and the program
    counter with log2 of the size from bit 56 and the direction in bit 63.
    """

    regions: RegionLog
    calls_begun: Callable[[], int]
    gate: Callable[[], int]
    top: int
    name: str = "python"
    _folded: dict[tuple[int, int, bool, int], list[int]] = field(default_factory=dict)
    _services: ServiceFold = field(init=False)
    _sha: Any = field(default_factory=hashlib.sha256)
    _pending: bytearray = field(default_factory=bytearray)
    _count: int = 0
    _totals: list[list[int]] = field(default_factory=lambda: [[0, 0], [0, 0]])
    _touched: tuple[bytearray, bytearray] = field(init=False)
    _filled: bytearray = field(init=False)
    _runs: list[tuple[int, bool, int, int]] = field(default_factory=list)
    _unwritten: int = 0
    _first_unwritten: tuple[int, int, str, int] = (0, 0, "", 0)

    def __post_init__(self) -> None:
        self._services = ServiceFold(self.regions, self.calls_begun, self.gate)
        self._touched = bytearray(self.top), bytearray(self.top)
        self._filled = bytearray(self.top)
        self.regions.replaced = self._replaced

    def access(self, pc: int, address: int, size: int, write: bool) -> None:
        """The CPU accessed memory."""
        self._pending += _ROW.pack(address, pc | _LOG2[size] << 56 | write << 63)
        if len(self._pending) >= _HASH_AT:
            self._hash()
        totals = self._totals[write]
        totals[0] += 1
        totals[1] += size
        region = self.regions.at(address)
        if region is not None and write:
            region.bytes_written += size
        elif region is not None:
            region.bytes_read += size
        self._fold(pc, region, size, write)
        self._mark(pc, address, size, write, region)
        self._count += 1

    def service_access(self, address: int, size: int, write: bool) -> None:
        """The firmware read or wrote memory for the guest."""
        self._services.add(address, size, write)
        if write:
            self._filled[address : address + size] = b"\1" * size

    def summary(self) -> dict[str, Any]:
        """Totals and the digest."""
        self._hash()
        reads, writes = self._totals
        return {
            "count": self._count,
            "reads": reads[0],
            "writes": writes[0],
            "bytes_read": reads[1],
            "bytes_written": writes[1],
            "digest": self._sha.hexdigest(),
            "kept": False,
        }

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows of *touched*, in a fixed order."""
        cpu = [("cpu", *key, *counted) for key, counted in self._folded.items()]
        yield from ordered([*cpu, *self._services.rows()])

    def coverage(self) -> Iterator[tuple[int, bool, int, int]]:
        """Runs of bytes that the CPU touched."""
        yield from sorted(self._runs)

    def findings(self) -> Iterator[Noticed]:
        """Reads of bytes that nobody wrote."""
        if self._unwritten:
            yield unwritten_finding(self._unwritten, *self._first_unwritten)

    def _mark(self, pc: int, address: int, size: int, write: bool, region: Region | None) -> None:
        end = min(address + size, self.top)
        if address >= end:
            return
        ones = b"\1" * (end - address)
        self._touched[write][address:end] = ones
        if write:
            self._filled[address:end] = ones
        elif region is not None and region.kind in CHECKED_KINDS and self._filled[address:end] != ones:
            if not self._unwritten:
                where = f"{region.kind} {region.name}"
                self._first_unwritten = (pc, address, where, self.calls_begun())
            self._unwritten += 1

    def _replaced(self, _first: int, _last: int, gone: list[Region], new: list[Region]) -> None:
        for each in gone:
            for write, touched in enumerate(self._touched):
                within = touched[each.start : each.end]
                for run in re.finditer(rb"\x01+", within):
                    self._runs.append((each.id, bool(write), each.start + run.start(), each.start + run.end()))
                touched[each.start : each.end] = bytes(len(within))
        if not gone:
            for each in new:
                self._filled[each.start : each.end] = bytes(each.end - each.start)

    def _fold(self, pc: int, region: Region | None, size: int, write: bool) -> None:
        call = self.calls_begun()
        entry = self._folded.setdefault((region.id if region else 0, pc, write, size), [0, 0, self._count, 0, call, 0])
        entry[0] += 1
        entry[1] += size
        entry[3] = self._count
        entry[5] = call

    def _hash(self) -> None:
        self._sha.update(self._pending)
        self._pending.clear()
