"""The native recorder: folds accesses in C while they happen, and hashes their rows on another thread."""

from __future__ import annotations

import hashlib
import struct
import threading
from typing import TYPE_CHECKING, Any

from shim.trace._recorder import Recorder as Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.trace.regions import Region, RegionLog

#: A live region as the C code keeps it: start, end, id, flags, and two fields of its own.
_RANGE = struct.Struct("<QQIIII")


class NativeRecorder:
    """Gives what `PythonRecorder` gives, the digest included, some hundred times as fast.

    The engine calls `callback` with `state` for each access. The folding lives in C and knows regions by a copy
    of the log's list, which each change of the log brings up to date.
    """

    name = "native"

    def __init__(self, regions: RegionLog, top: int, calls_begun: Callable[[], int], gate: Callable[[], int]) -> None:
        self.folder = Folder(top)
        self._regions = regions
        self._calls_begun = calls_begun
        self._gate = gate
        self._rows: list[tuple[Any, ...]] = []
        self._services: dict[tuple[int, int, bool], list[int]] = {}
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
        call = self._calls_begun()
        for region, start, end in self._regions.pieces(address, address + size):
            key = (region.id if region else 0, self._gate(), write)
            entry = self._services.setdefault(key, [0, 0, call, call])
            entry[0] += 1
            entry[1] += end - start
            entry[3] = call

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
        self._rows += (("cpu", *row[:10]) for row in self.folder.nobodys())
        for (region, pc, write), (count, size, first, last) in self._services.items():
            self._rows.append(("service", region, pc, write, 0, count, size, None, None, first, last))
        yield from sorted(self._rows, key=lambda row: row[:5])

    def close(self) -> None:
        """End the other thread; the digest is complete."""
        self.folder.close()
        self._thread.join()

    def _replaced(self, first: int, last: int, gone: list[Region], new: list[Region]) -> None:
        """The log's live regions from *first* to *last* are over; *new* ones stand in their place."""
        ranges = b"".join(_RANGE.pack(each.start, each.end, each.id, 0, 0, 0) for each in new)
        by_id = {each.id: each for each in gone}
        for row in self.folder.splice(first, last, ranges):
            self._rows.append(("cpu", *row[:10]))
            region, write, size = by_id[row[0]], row[2], row[5]
            if write:
                region.bytes_written += size
            else:
                region.bytes_read += size

    def _hash(self) -> None:
        while (rows := self.folder.take()) is not None:
            self._sha.update(rows)
            del rows
            self.folder.give()
