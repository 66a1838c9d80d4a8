"""Tables as files."""

import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from shim.errors import ExitCode, UnreadableError
from shim.trace import writer as writer_module
from shim.trace.tables import CALLS, REGIONS, TABLES, TOUCHED, Column, Table
from shim.trace.writer import TableWriter, warm_up

SMALL = Table("small", "A table.", (Column("seq", "uint64", "a number"), Column("text", "string", "a text")), True)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_an_empty_table_is_a_file_with_its_columns(tmp_path, table):
    TableWriter(tmp_path, table).close()
    read = pq.read_table(tmp_path / f"{table.name}.parquet")
    assert read.num_rows == 0
    assert read.schema.equals(table.schema(), check_metadata=True)


def test_rows_come_back_as_they_were(tmp_path):
    most = (1 << 64) - 1
    call = (
        most, None, (1 << 32) - 1, "ä", most, 0, "boot", "Exit", None, '{"a": 1}', "{}", None, 0, most, most, None,
    )  # fmt: skip
    region = (1, 0, most, "pages", "", "LoaderData", "", None, None, None, most)
    touched = ("service", 0, 0, True, 0, 1, 2, None, None, 0, 0, 0)
    for table, row in ((CALLS, call), (REGIONS, region), (TOUCHED, touched)):
        writer = TableWriter(tmp_path, table)
        writer.add(row)
        writer.close()
        (read,) = pq.read_table(tmp_path / f"{table.name}.parquet").to_pylist()
        assert tuple(read.values()) == row


def test_the_meaning_of_the_columns_is_in_the_file(tmp_path):
    TableWriter(tmp_path, CALLS).close()
    schema = pq.read_schema(tmp_path / "calls.parquet")
    assert schema.metadata[b"doc"] == CALLS.doc.encode()
    assert {field.name: field.metadata[b"doc"].decode() for field in schema} == {c.name: c.doc for c in CALLS.columns}


def test_rows_that_come_late_are_put_in_order(tmp_path):
    """A call is written when it ends, and those that it made end before."""
    writer = TableWriter(tmp_path, SMALL)
    for seq in (3, 1, 2, 0):
        writer.add((seq, str(seq)))
    writer.close()
    assert pq.read_table(tmp_path / "small.parquet").column("seq").to_pylist() == [0, 1, 2, 3]


def test_rows_with_one_number_stay_in_their_order(tmp_path):
    writer = TableWriter(tmp_path, SMALL)
    for text in "cab":
        writer.add((0, text))
    writer.close()
    assert pq.read_table(tmp_path / "small.parquet").column("text").to_pylist() == ["c", "a", "b"]


def test_batches_are_written_as_they_fill(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "BATCH", 10)
    writer = TableWriter(tmp_path, SMALL)
    seqs = [i * 37 % 95 for i in range(95)]
    for seq in seqs:
        writer.add((seq, ""))
        assert len(writer._rows) < 10
    writer.close()
    path = tmp_path / "small.parquet"
    file = pq.ParquetFile(path)
    assert file.num_row_groups == 10
    found = [file.read_row_group(i).column("seq").to_pylist() for i in range(10)]
    # Each batch is in order; together they hold every row once.
    assert found == [sorted(seqs[i : i + 10]) for i in range(0, 95, 10)]
    # Readers ask for the order of the whole table.
    assert duckdb.sql(f"select seq from '{path}' order by seq").fetchall() == [(seq,) for seq in range(95)]


def test_the_real_batches(tmp_path):
    writer = TableWriter(tmp_path, SMALL)
    for seq in range(writer_module.BATCH + 1):
        writer.add((seq, None))
    writer.close()
    file = pq.ParquetFile(tmp_path / "small.parquet")
    assert file.num_row_groups == 2
    assert file.read().column("seq").to_pylist() == list(range(writer_module.BATCH + 1))


def test_a_folder_that_is_not_there(tmp_path):
    writer = TableWriter(tmp_path / "gone", SMALL)
    with pytest.raises(UnreadableError, match=r"gone/small\.parquet") as caught:
        writer.close()
    assert caught.value.code is ExitCode.UNREADABLE
    assert "\n" not in str(caught.value)


def test_a_name_that_is_taken_by_a_folder(tmp_path):
    (tmp_path / "small.parquet").mkdir()
    with pytest.raises(UnreadableError, match=r"small\.parquet"):
        TableWriter(tmp_path, SMALL).close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_disk_that_is_full(tmp_path):
    (tmp_path / "small.parquet").symlink_to("/dev/full")
    writer = TableWriter(tmp_path, SMALL)
    writer.add((0, "x" * 100_000))
    with pytest.raises(UnreadableError, match=r"small\.parquet"):
        writer.close()


def test_a_disk_that_is_full_at_the_very_end(tmp_path, monkeypatch):
    class Full:
        def write_table(self, _table):
            pass

        def close(self):
            raise OSError("No space left on device")

    monkeypatch.setattr(pq, "ParquetWriter", lambda *_args, **_options: Full())
    with pytest.raises(UnreadableError, match=r"small\.parquet: No space left"):
        TableWriter(tmp_path, SMALL).close()


def test_the_library_can_be_imported_beforehand():
    assert warm_up() is None
    assert "pyarrow.parquet" in sys.modules
