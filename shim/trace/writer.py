"""Writing tables as Parquet, a batch at a time, so that a long run needs no more memory than a short one."""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shim.errors import UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from shim.trace.tables import Table

BATCH = 1 << 15


def warm_up() -> None:
    """Import the Parquet library on another thread: the emulation, which needs no Python, goes on meanwhile."""
    threading.Thread(target=importlib.import_module, args=("pyarrow.parquet",), daemon=True).start()


class TableWriter:
    """Collects rows and writes them in batches."""

    def __init__(self, folder: Path, table: Table) -> None:
        self._path = folder / f"{table.name}.parquet"
        self._table = table
        self._rows: list[tuple[Any, ...]] = []
        self._writer: Any = None
        self._broken = False

    def add(self, row: tuple[Any, ...]) -> None:
        """Take a row; its values are in the order of the table's columns."""
        if self._broken:
            return
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            self._write_rows()

    def add_packed(self, rows: bytes) -> None:
        """Take rows as the table's dtype has them."""
        if self._broken:
            return
        self._write_rows()
        self._write(self._table.unpack(rows))

    def close(self) -> None:
        """Write what is left; the file is readable from now on, unless it failed before."""
        if self._broken:
            return
        self._write_rows()
        if self._writer is None:
            self._write([])
        try:
            self._writer.close()
        except OSError as error:
            raise self._give_up(error) from None

    def _write_rows(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        if self._table.in_order:
            self._rows.sort(key=lambda row: row[0])
        schema = self._table.schema()
        columns = zip(*self._rows, strict=True)
        self._write([pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)])
        self._rows.clear()

    def _write(self, columns: list[pa.Array]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = self._table.schema()
        try:
            if self._writer is None:
                if "/" in self._table.name:
                    self._path.parent.mkdir(exist_ok=True)
                self._writer = pq.ParquetWriter(self._path, schema, compression="zstd")
            if columns:
                self._writer.write_table(pa.Table.from_arrays(columns, schema=schema))
        except OSError as error:
            raise self._give_up(error) from None

    def _give_up(self, error: OSError) -> UnreadableError:
        """Take no more rows."""
        abandon(self._writer)
        self._broken = True
        self._rows.clear()
        return UnreadableError(f"{self._path}: {error}")


def abandon(writer: Any) -> None:
    """Close a Parquet writer whose file can't be written: it would try again, and complain, when it is collected."""
    if writer is not None:
        with suppress(OSError):
            writer.close()
        writer.is_open = False


def write_whole(path: Path, text: str) -> None:
    """Write whole or not at all."""
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise UnreadableError(f"{path}: {error.strerror}") from None
