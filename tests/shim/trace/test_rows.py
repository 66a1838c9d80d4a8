"""Accesses as rows."""

import errno
import struct
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.errors import UnreadableError
from shim.trace.rows import RowWriter
from shim.trace.tables import ACCESSES

WORD, PC = (1 << 64) - 1, (1 << 56) - 1

Row = tuple[int, int, int, bool, int]

#: Few and many different values, small and large ones.
accesses: st.SearchStrategy[Row] = st.tuples(
    st.integers(0, 3) | st.integers(0, PC),
    st.integers(0, 3) | st.integers(0, WORD),
    st.sampled_from((1, 2, 4, 8)),
    st.booleans(),
    st.integers(0, 3) | st.integers(0, (1 << 32) - 1),
)
#: What is added at a time: rows, and how many calls begin before each of them.
additions = st.lists(st.lists(st.tuples(accesses, st.sampled_from((0, 0, 0, 1, 2))), max_size=30), max_size=6)


def packed(rows):
    keys = ((pc | size.bit_length() - 1 << 56 | write << 63, address) for pc, address, size, write, _ in rows)
    return b"".join(struct.pack("<QQ", address, key) for key, address in keys)


def owners(rows):
    return struct.pack(f"<{len(rows)}I", *(row[4] for row in rows))


def many(count, pcs=50, regions=5):
    drawn = np.random.default_rng(0).integers(0, 1 << 63, (count, 5)).tolist()
    return [(a % pcs, b, 1 << c % 4, d % 2 == 1, e % regions) for a, b, c, d, e in drawn]


def files(folder):
    return sorted((folder / "accesses").iterdir())


def read(folder):
    return [tuple(row.values()) for path in files(folder) for row in pq.read_table(path).to_pylist()]


@settings(deadline=None, max_examples=60, database=None)
@given(additions, st.integers(1, 20), st.integers(1, 3), st.sampled_from((0, 7, 10**15)))
def test_rows_come_back_as_they_were(tmp_path_factory, added, rows_per_group, groups_per_file, first_seq):
    folder = tmp_path_factory.mktemp("run")
    writer = RowWriter(folder, first_seq, rows_per_group, groups_per_file)
    expected, call = [], 0
    for part in added:
        calls = []
        for row, begun in part:
            for _ in range(begun):
                call += 1
                calls.append((first_seq + len(expected), call))
            expected.append((*row, call))
        rows = [row for row, _ in part]
        writer.add(memoryview(packed(rows)), memoryview(owners(rows)), calls)
    writer.close()
    assert read(folder) == expected
    per_file = rows_per_group * groups_per_file
    starts = range(0, len(expected), per_file)
    assert [path.name for path in files(folder)] == [f"{first_seq + start:016d}.parquet" for start in starts]
    for start, path in zip(starts, files(folder), strict=True):
        part = expected[start : start + per_file]
        meta = pq.read_metadata(path)
        texts = {key: meta.metadata[key.encode()] for key in ("first_seq", "rows", "first_call", "last_call")}
        assert {key: int(value) for key, value in texts.items()} == {
            "first_seq": first_seq + start,
            "rows": len(part),
            "first_call": part[0][-1],
            "last_call": part[-1][-1],
        }
        assert meta.num_rows == len(part)
        for i in range(meta.num_row_groups):
            group = part[i * rows_per_group : (i + 1) * rows_per_group]
            assert meta.row_group(i).num_rows == len(group)
            for number in (0, 1, 5):  # those by which readers skip
                bounds = meta.row_group(i).column(number).statistics
                values = [row[number] for row in group]
                assert (bounds.min, bounds.max, bounds.null_count) == (min(values), max(values), 0)


@pytest.mark.parametrize("pcs", [1, 2, 3, 16, 17, 256, 257, 60_000, 1 << 40])
def test_any_number_of_program_counters(tmp_path, pcs):
    """Indices have 1, 2, 4, 8, 16 or 32 bits."""
    rows = many(200_000, pcs, regions=min(pcs, 70_000))
    writer = RowWriter(tmp_path, rows_per_group=180_000)
    writer.add(packed(rows), owners(rows))
    writer.close()
    (path,) = files(tmp_path)
    for names, reader in (("arrow", pq.read_table(path)), ("duckdb", duckdb.sql(f"from '{path}'").to_arrow_table())):
        columns = list(zip(*rows, strict=True))
        for name, column in zip(("pc", "address", "size", "write", "region"), columns, strict=True):
            assert reader.column(name).to_pylist() == list(column), (names, name)


def test_the_columns_are_the_tables(tmp_path):
    writer = RowWriter(tmp_path)
    writer.add(packed(many(3)), owners(many(3)))
    writer.close()
    (path,) = files(tmp_path)
    schema = ACCESSES.schema()
    filled = pa.schema([field.with_nullable(False) for field in schema], metadata=schema.metadata)
    assert pq.read_schema(path).equals(filled)
    assert pq.read_schema(path).metadata[b"doc"] == ACCESSES.doc.encode()
    assert [field.metadata for field in pq.read_schema(path)] == [field.metadata for field in schema]
    described = duckdb.sql(f"describe from '{path}'").fetchall()
    types = {"uint64": "UBIGINT", "uint32": "UINTEGER", "uint8": "UTINYINT", "bool": "BOOLEAN"}
    assert [row[:2] for row in described] == [(each.name, types[each.type]) for each in ACCESSES.columns]


def test_duckdb_trusts_the_bounds(tmp_path):
    """The highest bit is a value's, not a sign."""
    rows = [(PC, WORD, 8, True, (1 << 32) - 1), (0, 0, 1, False, 0), (5, 1 << 63, 2, False, 1 << 31)]
    writer = RowWriter(tmp_path, rows_per_group=2)
    writer.add(packed(rows), owners(rows), [(2, WORD)])
    writer.close()
    where = f"from '{tmp_path}/accesses/*.parquet'"
    assert duckdb.sql(f"select min(address), max(address), max(call) {where}").fetchall() == [(0, WORD, WORD)]
    for condition in (f"address >= {1 << 63}", f"region >= {1 << 31}"):
        assert duckdb.sql(f"select count(*) {where} where {condition}").fetchall() == [(2,)]
    assert duckdb.sql(f"select count(*) {where} where call = {WORD}").fetchall() == [(1,)]
    assert duckdb.sql(f"select min(size), max(size), count(*) {where} where size = 4").fetchall() == [(None, None, 0)]


def test_calls_may_be_told_early_and_again(tmp_path):
    rows = many(6)
    writer = RowWriter(tmp_path)
    writer.add(packed(rows[:2]), owners(rows[:2]), [(0, 3), (4, 4), (6, 5)])
    writer.add(packed(rows[2:]), owners(rows[2:]), [(0, 3), (4, 4)])
    writer.close()
    assert [row[-1] for row in read(tmp_path)] == [3, 3, 3, 3, 4, 4]


@pytest.mark.parametrize("count", [256, 257, 70_000])
def test_a_call_before_each_row(tmp_path, count):
    rows = many(count)
    writer = RowWriter(tmp_path)
    writer.add(packed(rows), owners(rows), ((i, i + 1) for i in range(count)))
    writer.close()
    (path,) = files(tmp_path)
    for table in (pq.read_table(path), duckdb.sql(f"from '{path}'").to_arrow_table()):
        assert table.column("call").to_pylist() == list(range(1, count + 1))


def test_no_rows_make_no_file(tmp_path):
    writer = RowWriter(tmp_path)
    writer.add(b"", b"", [(0, 1)])
    writer.close()
    assert files(tmp_path) == []


def test_what_is_complete_can_be_read_before_the_end(tmp_path):
    rows = many(25)
    writer = RowWriter(tmp_path, rows_per_group=5, groups_per_file=2)
    writer.add(packed(rows), owners(rows))
    complete, partial = files(tmp_path)[:2], files(tmp_path)[2:]
    assert [pq.read_metadata(path).num_rows for path in complete] == [10, 10]
    assert [path.name for path in partial] == ["0000000000000020.parquet.part"]
    writer.close()
    assert [row[:5] for row in read(tmp_path)] == rows


@pytest.mark.parametrize("filled", [100, 200_000], ids=["at the end", "on the way"])
def test_a_full_disk_is_said_in_a_line(tmp_path, filled):
    (tmp_path / "accesses").mkdir()
    partial = tmp_path / "accesses" / "0000000000000000.parquet.part"
    partial.symlink_to("/dev/full")
    rows = many(filled)
    writer = RowWriter(tmp_path, rows_per_group=100_000)

    def write():
        writer.add(packed(rows), owners(rows))
        writer.close()

    with pytest.raises(UnreadableError) as caught:
        write()
    assert str(caught.value).startswith(f"{str(partial)[:-5]}: ")
    assert "No space left on device" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == []
    writer.close()
    assert files(tmp_path) == []


def test_a_file_that_gets_no_name_is_removed(tmp_path, monkeypatch):
    rows = many(10)
    writer = RowWriter(tmp_path, rows_per_group=4, groups_per_file=1)
    writer.add(packed(rows[:4]), owners(rows[:4]))

    def refuse(self, target):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UnreadableError, match=r"0000000000000004\.parquet: Read-only file system$"):
        writer.add(packed(rows[4:]), owners(rows[4:]))
    assert [path.name for path in files(tmp_path)] == ["0000000000000000.parquet"]
    assert [row[:5] for row in read(tmp_path)] == rows[:4]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "accesses").write_text("")
    with pytest.raises(UnreadableError, match=r"accesses: File exists$"):
        RowWriter(tmp_path)
    with pytest.raises(UnreadableError, match=r"accesses: No such file or directory$"):
        RowWriter(tmp_path / "missing")
