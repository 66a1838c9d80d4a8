"""Memory accesses, folded while they happen. A recorder in plain Python: exact, and slow."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.trace.regions import Region, RegionLog

_ROW = struct.Struct("<QQ")
_HASH_AT = 1 << 20
_LOG2 = {1: 0, 2: 1, 4: 2, 8: 3, 16: 4, 32: 5, 64: 6}


class Recorder(Protocol):
    """What watches the accesses of a run. `summary` and `rows` are asked for when it is over."""

    name: str

    def access(self, pc: int, address: int, size: int, write: bool) -> None:
        """The CPU accessed memory."""

    def service_access(self, address: int, size: int, write: bool) -> None:
        """The firmware read or wrote memory for the guest."""

    def summary(self) -> dict[str, Any]:
        """Totals and the digest over all rows, as run.json has them."""

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows of the table *touched*."""


@dataclass(slots=True)
class PythonRecorder:
    """The reference: every access by itself, in a dictionary.

    The digest is SHA-256 over all rows in order, each two little-endian u64: the address, and the program
    counter with log2 of the size from bit 56 and the direction in bit 63.
    """

    regions: RegionLog
    calls_begun: Callable[[], int]
    gate: Callable[[], int]
    name: str = "python"
    _folded: dict[tuple[str, int, int, bool, int], list[int]] = field(default_factory=dict)
    _sha: Any = field(default_factory=hashlib.sha256)
    _pending: bytearray = field(default_factory=bytearray)
    _count: int = 0
    _totals: list[list[int]] = field(default_factory=lambda: [[0, 0], [0, 0]])

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
        self._fold("cpu", pc, region, size, write, size)
        self._count += 1

    def service_access(self, address: int, size: int, write: bool) -> None:
        """The firmware read or wrote memory for the guest."""
        for region, start, end in self.regions.pieces(address, address + size):
            self._fold("service", self.gate(), region, end - start, write, 0)

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
        for (origin, region, pc, write, size), (count, total, *moments) in sorted(self._folded.items()):
            first_seq, last_seq, first_call, last_call = moments
            seqs = (first_seq, last_seq) if origin == "cpu" else (None, None)
            yield (origin, region, pc, write, size, count, total, *seqs, first_call, last_call)

    def _fold(self, origin: str, pc: int, region: Region | None, size: int, write: bool, unit: int) -> None:
        call = self.calls_begun()
        key = (origin, region.id if region else 0, pc, write, unit)
        entry = self._folded.get(key)
        if entry is None:
            self._folded[key] = [1, size, self._count, self._count, call, call]
        else:
            entry[0] += 1
            entry[1] += size
            entry[3] = self._count
            entry[5] = call

    def _hash(self) -> None:
        self._sha.update(self._pending)
        self._pending.clear()
