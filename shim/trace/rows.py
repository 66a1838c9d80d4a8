"""Writing the CPU's accesses, row by row: hundreds of millions of them, on a thread beside the emulation."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shim.errors import UnreadableError
from shim.trace.tables import ACCESSES
from shim.trace.writer import abandon

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: The lower bits of a packed row's second word are the program counter; above are log2(size), and the highest: write.
_PC = (1 << 56) - 1
#: A page is compressed as a whole: larger ones take less room, until the processor's cache can't hold them.
_PAGE_BYTES = 1 << 20
#: One byte after the other of all values in a page: what changes seldom, the upper bytes, shrinks to nothing. The
#: others encode in less time, or have one byte.
_SPLIT = ("pc", "address", "region", "call")
#: Readers skip row groups by these; the other columns have the same few values everywhere.
_BOUNDED = ("pc", "address", "call")


class RowWriter:
    """Writes files of *groups_per_file* row groups, each named by the number of its first row.

    A file gets its name when it is complete, so a killed run leaves all rows but the last ones. After an error no more
    rows are taken.
    """

    def __init__(
        self, folder: Path, first_seq: int = 0, rows_per_group: int = 1 << 20, groups_per_file: int = 16
    ) -> None:
        import numpy as np

        self._folder = folder / ACCESSES.name
        self._rows_per_group = rows_per_group
        self._rows_per_file = rows_per_group * groups_per_file
        self._columns = {each.name: np.empty(rows_per_group, each.type) for each in ACCESSES.columns}
        self._schema: Any = None
        self._seq = first_seq  # of the group's first row
        self._filled = 0  # rows of the group that is being collected
        self._call = 0
        self._calls: deque[tuple[int, int]] = deque()
        # the file that is being written
        self._writer: Any = None
        self._path = self._folder
        self._first_seq = first_seq
        self._first_call = self._last_call = 0
        self._broken = False
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise self._give_up(error) from None

    def add(self, rows: memoryview | bytes, regions: memoryview | bytes, calls: Iterable[tuple[int, int]] = ()) -> None:
        """Take packed rows and the region of each; nothing of them is needed afterwards.

        Two words make a row: its address, and pc | log2(size) << 56 | write << 63. *calls* tells which calls have begun
        since: (row, calls begun by that row), ascending; rows that are yet to come may be among them.
        """
        import numpy as np

        assert not self._broken
        words, ids = np.frombuffer(rows, "<u8").reshape(-1, 2), np.frombuffer(regions, "<u4")
        assert len(words) == len(ids)
        self._calls.extend(calls)
        done = 0
        while done < len(ids):
            count = min(len(ids) - done, self._rows_per_group - self._filled)
            self._unpack(words[done : done + count], ids[done : done + count])
            done += count
            if self._filled == self._rows_per_group:
                self._write()

    def close(self) -> None:
        """Write what is left; all files are readable from now on."""
        if self._filled:
            self._write()
        if self._writer is not None:
            self._finish()

    def _unpack(self, words: Any, ids: Any) -> None:
        import numpy as np

        into = slice(self._filled, self._filled + len(ids))
        columns = {name: column[into] for name, column in self._columns.items()}
        np.bitwise_and(words[:, 1], np.uint64(_PC), out=columns["pc"])
        columns["address"][:] = words[:, 0]
        kinds = words.view("u1")[:, 15].copy()
        np.right_shift(kinds, 7, out=columns["write"].view("u1"))
        np.left_shift(np.uint8(1), kinds & 7, out=columns["size"])
        columns["region"][:] = ids
        self._fill_calls(into.start, into.stop)
        self._filled = into.stop

    def _fill_calls(self, at: int, stop: int) -> None:
        """The column of calls, for these rows of the group."""
        column = self._columns["call"]
        while self._calls and self._calls[0][0] < self._seq + stop:
            seq, call = self._calls.popleft()
            begins = max(seq - self._seq, at)
            column[at:begins] = self._call
            at, self._call = begins, call
        column[at:stop] = self._call

    def _write(self) -> None:
        """Write the row group; the file too, when it is full."""
        import pyarrow as pa

        calls = self._columns["call"]
        try:
            if self._writer is None:
                self._first_seq, self._first_call = self._seq, int(calls[0])
                self._open()
            # The arrays are views: nothing is copied, and the next group may overwrite them.
            arrays = [pa.array(column[: self._filled]) for column in self._columns.values()]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), self._rows_per_group)
        except OSError as error:
            raise self._give_up(error) from None
        self._last_call = int(calls[self._filled - 1])
        self._seq += self._filled
        self._filled = 0
        if self._seq - self._first_seq == self._rows_per_file:
            self._finish()

    def _open(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = self._folder / f"{self._first_seq:016d}.parquet"
        if self._schema is None:
            # No value is ever missing; saying so saves writing for each that it is there.
            schema = ACCESSES.schema()
            self._schema = pa.schema([field.with_nullable(False) for field in schema], metadata=schema.metadata)
        self._writer = pq.ParquetWriter(
            self._partial(),
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            use_byte_stream_split=list(_SPLIT),
            write_statistics=list(_BOUNDED),
            data_page_size=_PAGE_BYTES,
            write_batch_size=1 << 15,
            max_rows_per_page=self._rows_per_group,
        )

    def _finish(self) -> None:
        """Complete the file and give it its name."""
        about = {
            "first_seq": self._first_seq,
            "rows": self._seq - self._first_seq,
            "first_call": self._first_call,
            "last_call": self._last_call,
        }
        try:
            self._writer.add_key_value_metadata({key: str(value) for key, value in about.items()})
            self._writer.close()
            self._partial().replace(self._path)
        except OSError as error:
            raise self._give_up(error) from None
        self._writer = None

    def _partial(self) -> Path:
        return self._path.with_name(self._path.name + ".part")

    def _give_up(self, error: OSError) -> UnreadableError:
        """Leave no file that looks complete, and nothing that would be written later."""
        self._broken = True
        self._filled = 0
        abandon(self._writer)
        self._writer = None
        with suppress(OSError):
            self._partial().unlink()
        return UnreadableError(f"{self._path}: {error.strerror or error}")
