"""Memory accesses, folded while they happen: what every recorder gives, and the reference in plain Python."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from shim.trace.findings import (
    AFTER_EXIT,
    EXECUTED_DATA,
    TO_CODE,
    TO_FREED,
    TO_NOBODYS,
    UNWRITTEN,
    Check,
    Noticed,
    checks_of,
    noticed,
    where,
)
from shim.trace.tables import BLOCKS, BYTES, TOUCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.trace.regions import Region, RegionLog
    from shim.trace.tables import Table

_ROW = struct.Struct("<QQ")
_HASH_AT = 1 << 20
_LOG2 = {1: 0, 2: 1, 4: 2, 8: 3}
_PC = (1 << 56) - 1


class Sink(Protocol):
    """Takes the rows of tables as they come."""

    def row(self, table: Table, row: tuple[Any, ...]) -> None:
        """A row, its values in the order of the table's columns."""

    def packed(self, table: Table, rows: bytes) -> None:
        """Rows as the table's `dtype` has them."""


class Recorder(Protocol):
    """What watches the memory accesses and the blocks of a run.

    What it folds within the interval between two calls goes to a `Sink` when the interval is over.
    """

    name: str

    def access(self, pc: int, address: int, size: int, write: bool) -> None:
        """The CPU accessed memory."""

    def block(self, address: int, size: int) -> None:
        """The CPU begins to execute a block of code."""

    def service_access(self, address: int, size: int, write: bool) -> None:
        """The firmware read or wrote memory for the guest."""

    def begin_call(self, begun: int) -> int:
        """*begun* service calls have begun by now; gives the number of accesses before."""

    def exited(self) -> None:
        """Boot services are gone."""

    def relieve(self) -> None:
        """Pass on what has piled up; raises what the recorder's own threads ran into."""

    def finish(self) -> None:
        """No more will come, and all regions have ended: pass on what is left."""

    def close(self) -> None:
        """End whatever runs besides; nothing more is wanted."""

    def summary(self) -> dict[str, Any]:
        """After `finish`: totals and the digest over all rows, as run.json has them."""

    def findings(self) -> Iterator[Noticed]:
        """After `finish`: what was remarkable about the accesses."""


@dataclass(slots=True)
class PythonRecorder:
    """The reference: every access by itself, in a dictionary, and a byte for each byte of memory below *top*.

    The digest is SHA-256 over all rows in order, each two little-endian u64: the address, and the program
    counter with log2 of the size from bit 56 and the direction in bit 63.
    """

    regions: RegionLog
    gate: Callable[[], int]
    top: int
    sink: Sink
    name: str = "python"
    _call: int = 0
    _folded: dict[tuple[int, int, int, bool, int], list[int | None]] = field(default_factory=dict)
    _blocks: dict[tuple[int, int, int], int] = field(default_factory=dict)
    _sha: Any = field(default_factory=hashlib.sha256)
    _pending: bytearray = field(default_factory=bytearray)
    _count: int = 0
    _totals: list[list[int]] = field(default_factory=lambda: [[0, 0], [0, 0]])
    _touched: tuple[bytearray, bytearray] = field(init=False)
    _filled: bytearray = field(init=False)
    _exited: bool = False
    _noticed: dict[int, tuple[int, int, int, str]] = field(default_factory=dict)
    _notices: list[int] = field(default_factory=lambda: [0] * 6)

    def __post_init__(self) -> None:
        self._touched = bytearray(self.top), bytearray(self.top)
        self._filled = bytearray(self.top)
        self.regions.replaced = self._replaced

    def access(self, pc: int, address: int, size: int, write: bool) -> None:
        """The CPU accessed memory."""
        pc &= _PC
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
        kinds = self._inspect(region, address, size, write)
        for kind in kinds:
            self._notice(kind, pc, address, region)
        self._fold(0, region, pc, write, size, size, self._count, len(kinds))
        end = min(address + size, self.top)
        if address < end:
            ones = b"\1" * (end - address)
            self._touched[write][address:end] = ones
            if write:
                self._filled[address:end] = ones
        self._count += 1

    def block(self, address: int, size: int) -> None:
        """The CPU begins to execute a block of code."""
        region = self.regions.at(address)
        key = (region.id if region else 0, address, size)
        self._blocks[key] = self._blocks.get(key, 0) + 1
        if region is None or Check.EXECUTABLE not in checks_of(region):
            self._notice(EXECUTED_DATA, address, address, region)

    def service_access(self, address: int, size: int, write: bool) -> None:
        """The firmware read or wrote memory for the guest."""
        for region, start, end in self.regions.pieces(address, address + size):
            self._fold(1, region, self.gate(), write, 0, end - start, None, 0)
        if write:
            self._filled[address : address + size] = b"\1" * size

    def begin_call(self, begun: int) -> int:
        """*begun* service calls have begun by now."""
        self._flush()
        self._call = begun
        return self._count

    def exited(self) -> None:
        """Boot services are gone."""
        self._exited = True

    def relieve(self) -> None:
        """Nothing piles up here but what is being folded."""

    def finish(self) -> None:
        """Pass on what is left."""
        self._flush()
        self._hash()

    def close(self) -> None:
        """There is nothing else that runs."""

    def summary(self) -> dict[str, Any]:
        """Totals and the digest."""
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

    def findings(self) -> Iterator[Noticed]:
        """What was remarkable about the accesses."""
        for kind, first in sorted(self._noticed.items()):
            yield noticed(kind, self._notices[kind], *first)

    def _inspect(self, region: Region | None, address: int, size: int, write: bool) -> list[int]:
        """The kinds of findings that an access is."""
        if region is None:
            return [TO_NOBODYS]
        checks = checks_of(region)
        kinds = []
        unwritten = not write and address < self.top and 0 in self._filled[address : address + size]
        if Check.WRITTEN in checks and unwritten:
            kinds.append(UNWRITTEN)
        if Check.FREED in checks:
            kinds.append(TO_FREED)
        if Check.BOOT_SERVICES in checks and self._exited:
            kinds.append(AFTER_EXIT)
        if Check.CODE in checks and write:
            kinds.append(TO_CODE)
        return kinds

    def _notice(self, kind: int, pc: int, address: int, region: Region | None) -> None:
        self._notices[kind] += 1
        self._noticed.setdefault(kind, (pc, address, self._call, where(region)))

    def _replaced(self, _first: int, _last: int, gone: list[Region], new: list[Region]) -> None:
        self._flush()
        for each in gone:
            for write, touched in enumerate(self._touched):
                within = touched[each.start : each.end]
                for run in re.finditer(rb"\x01+", within) if each.id else ():
                    row = (each.id, bool(write), each.start + run.start(), each.start + run.end())
                    self.sink.row(BYTES, row)
                touched[each.start : each.end] = bytes(len(within))
        for each in new:
            if each.fresh:
                for bytes_ in (*self._touched, self._filled):
                    bytes_[each.start : each.end] = bytes(min(each.end, self.top) - each.start)

    def _fold(
        self,
        origin: int,
        region: Region | None,
        pc: int,
        write: bool,
        size: int,
        bytes_: int,
        seq: int | None,
        found: int,
    ) -> None:
        key = (origin, region.id if region else 0, pc, write, size)
        entry = self._folded.setdefault(key, [0, 0, seq, seq, 0])
        entry[0] = (entry[0] or 0) + 1
        entry[1] = (entry[1] or 0) + bytes_
        entry[3] = seq
        entry[4] = (entry[4] or 0) + found

    def _flush(self) -> None:
        for (origin, *key), (count, bytes_, first, last, found) in self._folded.items():
            name = ("cpu", "service")[origin]
            self.sink.row(TOUCHED, (name, *key, count, bytes_, first, last, self._call, self._call, found))
        for block, times in self._blocks.items():
            self.sink.row(BLOCKS, (*block, times, self._call))
        self._folded.clear()
        self._blocks.clear()

    def _hash(self) -> None:
        self._sha.update(self._pending)
        self._pending.clear()
