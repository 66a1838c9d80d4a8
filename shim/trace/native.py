"""The native recorder: folds accesses in C while they happen, and hashes their rows on another thread."""

from __future__ import annotations

import hashlib
import struct
import threading
from typing import TYPE_CHECKING, Any

from shim.trace._recorder import Recorder as Folder
from shim.trace.accesses import CHECKED_KINDS, Noticed, ServiceFold, ordered, unwritten_finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.trace.regions import Region, RegionLog

#: A live region as the C code keeps it: start, end, id, flags, and two fields of its own.
_RANGE = struct.Struct("<QQIIII")
_CHECK_WRITTEN = 1
#: The C code's maps: bytes that the CPU read, bytes that it wrote, bytes that anybody wrote.
_READ, _WRITTEN, _ANYBODY = range(3)
#: Bytes of memory whose bits are looked at together when runs are searched.
_STEP = 8 << 20


class NativeRecorder:
    """Gives what `PythonRecorder` gives, the digest included, many times as fast.

    The engine calls `folder`'s callback for each access. The folding lives in C and knows regions by a copy of the
    log's list, which each change of the log brings up to date.
    """

    name = "native"

    def __init__(self, regions: RegionLog, calls_begun: Callable[[], int], gate: Callable[[], int], top: int) -> None:
        self.folder = Folder(top)
        self._top = top
        self._services = ServiceFold(regions, calls_begun, gate)
        self._rows: list[tuple[Any, ...]] = []
        self._runs: list[tuple[int, bool, int, int]] = []
        self._unwritten_in = ""
        self._sha = hashlib.sha256()
        regions.replaced = self._replaced
        self._thread = threading.Thread(target=self._hash, daemon=True)
        self._thread.start()

    def access(self, pc: int, address: int, size: int, write: bool) -> None:
        """The CPU accessed memory: for callers in Python, the engine calls the C code itself."""
        self.folder.access(pc, address, size, write)

    def begin_call(self, begun: int) -> None:
        """*begun* service calls have begun by now."""
        self.folder.call = begun

    def service_access(self, address: int, size: int, write: bool) -> None:
        """The firmware read or wrote memory for the guest."""
        self._services.add(address, size, write)
        if write:
            self.folder.mark(_ANYBODY, address, address + size, True)

    def summary(self) -> dict[str, Any]:
        """Totals and the digest; no more accesses may come."""
        self.close()
        reads, writes, bytes_read, bytes_written = self.folder.totals
        return {
            "count": reads + writes,
            "reads": reads,
            "writes": writes,
            "bytes_read": bytes_read,
            "bytes_written": bytes_written,
            "digest": self._sha.hexdigest(),
            "kept": False,
        }

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows of *touched*, in a fixed order; all regions have ended."""
        if self.folder.failed:
            raise MemoryError("the recorder ran out of memory")
        nobodys = [("cpu", *row) for row in self.folder.nobodys()]
        yield from ordered([*self._rows, *nobodys, *self._services.rows()])

    def coverage(self) -> Iterator[tuple[int, bool, int, int]]:
        """Runs of bytes that the CPU touched."""
        yield from sorted(self._runs)

    def findings(self) -> Iterator[Noticed]:
        """Reads of bytes that nobody wrote."""
        if self.folder.unwritten:
            pc, address, _, call = self.folder.first_unwritten
            yield unwritten_finding(self.folder.unwritten, pc, address, self._unwritten_in, call)

    def close(self) -> None:
        """End the other thread; the digest is complete."""
        self.folder.close()
        self._thread.join()

    def _replaced(self, first: int, last: int, gone: list[Region], new: list[Region]) -> None:
        """The log's live regions from *first* to *last* are over; *new* ones stand in their place."""
        ranges = (
            _RANGE.pack(each.start, each.end, each.id, _CHECK_WRITTEN if each.kind in CHECKED_KINDS else 0, 0, 0)
            for each in new
        )
        by_id = {each.id: each for each in gone}
        for row in self.folder.splice(first, last, b"".join(ranges)):
            self._rows.append(("cpu", *row))
            region, write, size = by_id[row[0]], row[2], row[5]
            if write:
                region.bytes_written += size
            else:
                region.bytes_read += size
        suspect = self.folder.first_unwritten[2]
        for each in gone:
            if each.id == suspect:
                self._unwritten_in = f"{each.kind} {each.name}"
            for map_ in (_READ, _WRITTEN):
                self._runs += ((each.id, map_ == _WRITTEN, *run) for run in self._find_runs(map_, each.start, each.end))
                self.folder.mark(map_, each.start, each.end, False)
        if not gone:
            for each in new:
                self.folder.mark(_ANYBODY, each.start, each.end, False)

    def _find_runs(self, map_: int, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Runs of set bits from *start* to *end*, piece by piece."""
        import numpy as np

        open_at = None
        at, end = start, min(end, self._top)
        while at < end:
            base = at & -8
            stop = min(base + _STEP, end)
            packed = np.frombuffer(self.folder.covered(map_, base, stop), np.uint8)
            bits = np.unpackbits(packed, bitorder="little")[at - base : stop - base]
            was = open_at is not None
            for edge in np.flatnonzero(np.diff(bits, prepend=was)).tolist():
                if open_at is None:
                    open_at = at + edge
                else:
                    yield open_at, at + edge
                    open_at = None
            at = stop
        if open_at is not None:
            yield open_at, end

    def _hash(self) -> None:
        while (rows := self.folder.take()) is not None:
            self._sha.update(rows)
            del rows
            self.folder.give()
