"""The native recorder: folds accesses in C while they happen, and hashes or keeps their rows on other threads."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shim.trace._recorder import Recorder as Folder
from shim.trace.findings import Check, Noticed, checks_of, noticed, where
from shim.trace.rows import RowWriter
from shim.trace.tables import BLOCKS, BYTES, TOUCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from shim.trace.accesses import Sink
    from shim.trace.last_writers import LastWriters
    from shim.trace.regions import Region, RegionLog

#: A live region as the C code keeps it: start, end, id, checks, and two counters of its own.
_RANGE = struct.Struct("<QQIIQQ")
#: In the order of the C code's numbers.
_TABLES = (TOUCHED, BYTES, BLOCKS)
#: Bytes of rows that may pile up.
_PENDING = 1 << 22
#: The threads that take rows.
_HASHER, _WRITER = range(2)
_ROW_BYTES = 16


@dataclass(frozen=True, slots=True)
class Keep:
    """Which rows are stored: in *folder*'s accesses, those between two calls (None: from the start, to the end)."""

    folder: Path
    first_call: int | None = None
    last_call: int | None = None

    def wants(self, begun: int) -> bool:
        """Whether rows are wanted while *begun* calls have begun."""
        after = self.first_call is None or begun > self.first_call
        return after and (self.last_call is None or begun <= self.last_call)


class NativeRecorder:
    """Gives what `PythonRecorder` gives, the digest included, many times as fast; stores rows as *keep* says.

    The engine calls `folder`'s callbacks. The folding lives in C and knows regions by a copy of the log's list,
    which each change of the log brings up to date. *most* rows are hashed and stored, or all. *watched* is told of all
    writes.
    """

    name = "native"

    def __init__(
        self,
        regions: RegionLog,
        gate: Callable[[], int],
        top: int,
        sink: Sink,
        keep: Keep | None = None,
        most: int | None = None,
        watched: LastWriters | None = None,
    ) -> None:
        self.folder = Folder(top, keep is not None)
        self._regions = regions
        self._gate = gate
        self._sink = sink
        self._most = most
        self._watched = watched
        self._begun = 0
        self._keep = keep
        self._writer: RowWriter | None = None
        self._hashed = self._written = 0
        #: Rows before each change of the number of calls that have begun, for the writer.
        self._intervals: deque[tuple[int, int]] = deque([(0, 0)])
        self._named: dict[int, str] = {}
        self._kinds = 0
        self._failure: Exception | None = None
        self._sha = hashlib.sha256()
        regions.replaced = self._replaced
        work: list[tuple[Callable[[Any, Any], None], int]] = [(self._hash, _HASHER)]
        if keep is not None:
            work.append((self._write, _WRITER))
        self._threads = [threading.Thread(target=self._work, args=each, daemon=True) for each in work]
        for each in self._threads:
            each.start()

    def access(self, pc: int, address: int, size: int, write: bool) -> None:
        """The CPU accessed memory: for callers in Python, the engine calls the C code itself."""
        self.folder.access(pc, address, size, write)

    def block(self, address: int, size: int) -> None:
        """The CPU begins to execute a block: likewise."""
        self.folder.block(address, size)

    def service_access(self, address: int, size: int, write: bool) -> None:
        """The firmware read or wrote memory for the guest."""
        self.folder.service_access(self._gate(), address, size, write)
        if write and self._watched is not None:
            self._watched.service(self.folder.count, self._begun - 1, address, size)

    def begin_call(self, begun: int) -> int:
        """*begun* service calls have begun by now."""
        self._name_regions()
        self._begun = begun
        before = self.folder.begin_call(begun)
        if self._keep is not None:
            self._intervals.append((before, begun))
        if self.folder.pending > _PENDING:
            self._drain()
        return before

    def exited(self) -> None:
        """Boot services are gone."""
        self.folder.exited()

    def relieve(self) -> None:
        """Pass on what has piled up; raises what the other threads ran into."""
        if self.folder.pending > _PENDING:
            self._drain()
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Pass on what is left, and let the other threads come to their end."""
        self._name_regions()
        self.folder.flush()
        self._drain()
        self.close()
        if self.folder.failed:
            raise MemoryError("the recorder ran out of memory")
        if self._failure is not None:
            raise self._failure
        if self._writer is not None:
            self._writer.close()

    def close(self) -> None:
        """End the other threads; the digest is complete."""
        self.folder.close()
        for each in self._threads:
            each.join()

    def summary(self) -> dict[str, Any]:
        """Totals and the digest."""
        reads, writes, bytes_read, bytes_written = self.folder.totals
        return {
            "count": reads + writes,
            "reads": reads,
            "writes": writes,
            "bytes_read": bytes_read,
            "bytes_written": bytes_written,
            "digest": self._sha.hexdigest(),
            "kept": self._keep is not None and self._keep.first_call is self._keep.last_call is None,
        }

    def findings(self) -> Iterator[Noticed]:
        """What was remarkable about the accesses."""
        for kind, (count, pc, address, call, _) in enumerate(self.folder.noticed):
            if count:
                yield noticed(kind, count, pc, address, call, self._named[kind])

    def _drain(self) -> None:
        for number, table in enumerate(_TABLES):
            rows = self.folder.drain(number)
            if rows:
                self._sink.packed(table, rows)

    def _replaced(self, first: int, last: int, gone: list[Region], new: list[Region]) -> None:
        """The log's live regions from *first* to *last* are over; *new* ones stand in their place."""
        self._name_regions()
        ranges = (
            _RANGE.pack(each.start, each.end, each.id, checks_of(each) | (Check.FRESH if each.fresh else 0), 0, 0)
            for each in new
        )
        counted = self.folder.splice(first, last, b"".join(ranges))
        for each, (read, written) in zip(gone, counted, strict=True):
            each.bytes_read += read
            each.bytes_written += written

    def _name_regions(self) -> None:
        """Put the places of first findings in words, as long as their regions live."""
        kinds = self.folder.kinds_noticed
        if kinds == self._kinds:
            return
        self._kinds = kinds
        for kind, (count, _, address, _, _) in enumerate(self.folder.noticed):
            if count and kind not in self._named:
                self._named[kind] = where(self._regions.at(address))

    def _work(self, work: Callable[[Any, Any], None], reader: int) -> None:
        while (taken := self.folder.take(reader)) is not None:
            if self._failure is None:
                try:
                    work(*taken)
                except Exception as failure:  # noqa: BLE001 - the emulation waits for this thread, so it has to go on
                    self._failure = failure
            del taken
            self.folder.give(reader)

    def _hash(self, rows: memoryview, _owners: memoryview | None) -> None:
        if self._most is not None:
            rows = rows[: max(self._most - self._hashed, 0) * _ROW_BYTES]
        if self._watched is not None:
            self._watched.rows(rows, self._hashed)
        self._hashed += len(rows) // _ROW_BYTES
        self._sha.update(rows)

    def _write(self, rows: memoryview, owners: memoryview) -> None:
        """Store what is wanted of some rows, interval by interval: calls come seldom, as rows go."""
        assert self._keep is not None
        start, end = self._written, self._written + len(rows) // _ROW_BYTES
        if self._most is not None:
            end = min(end, self._most)
        while start < end:
            # An interval is told of before the first row in it.
            begun = self._intervals[0][1]
            stop = min(self._intervals[1][0], end) if len(self._intervals) > 1 else end
            if start < stop and self._keep.wants(begun):
                if self._writer is None:
                    self._writer = RowWriter(self._keep.folder, start)
                first, last = start - self._written, stop - self._written
                self._writer.add(
                    rows[first * _ROW_BYTES : last * _ROW_BYTES], owners[first * 4 : last * 4], [(start, begun)]
                )
            if len(self._intervals) > 1 and stop == self._intervals[1][0]:
                self._intervals.popleft()
            start = stop
        self._written = max(self._written, end)
