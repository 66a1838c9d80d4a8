"""The table of functions: made from code, for what was executed."""

import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import payloads
from payloads import catalogue
from shim.config.platform import load_platform
from shim.session.request import Request
from shim.session.run import Session
from shim.trace import code as code_module
from shim.trace.code import Code, write_functions
from shim.trace.regions import Region
from shim.trace.tables import BLOCKS, FUNCTIONS

BASE = 0x10000


def calling(*targets, size=0x100):
    """Code that calls functions at these offsets; each begins behind a return."""
    code = b"".join(b"\xe8" + struct.pack("<i", at - 5 * index - 5) for index, at in enumerate(targets))
    made = bytearray(code.ljust(size, b"\xc3"))
    for at in targets:
        made[at] = 0x53
    return bytes(made)


def region(number, start, size):
    return Region(number, start, start + size, "image", "", "LoaderCode", "", None)


@pytest.fixture
def functions(tmp_path):
    """The rows for code at BASE and behind, of which these blocks were executed: (region, start)."""

    def write(code, pieces, *executed):
        def read(start, size):
            return memoryview(code)[start - BASE : start - BASE + size]

        (tmp_path / "coverage").mkdir(exist_ok=True)
        rows = [{"region": at[0], "start": at[1], "size": 1, "count": 1, "call": 0} for at in executed]
        pq.write_table(pa.Table.from_pylist(rows, schema=BLOCKS.schema()), tmp_path / "coverage" / "blocks.parquet")
        write_functions(tmp_path, "x86_64", pieces, read)
        made = pq.read_table(tmp_path / "functions.parquet")
        assert made.schema.equals(FUNCTIONS.schema())
        return [tuple(row.values()) for row in made.to_pylist()]

    return write


def test_only_functions_in_which_a_block_was_executed(functions):
    piece = Code(region(3, BASE, 0x100), BASE, "image")
    code = calling(0x20, 0x40, 0x60)
    assert functions(code, [piece], (3, BASE + 0x28), (3, BASE + 0x28), (3, BASE + 0x3F), (3, BASE + 0xFF)) == [
        (3, BASE + 0x20, BASE + 0x40, "image+0x20"),
        (3, BASE + 0x60, BASE + 0x100, "image+0x60"),
    ]


def test_ranges_are_the_same_whatever_was_executed(functions):
    piece = Code(region(1, BASE, 0x100), BASE, "image")
    code = calling(0x20, 0x40, 0x60)
    everything = functions(code, [piece], *((1, BASE + at) for at in range(0x100)))
    assert [row[1] - BASE for row in everything] == [0, 0x20, 0x40, 0x60]
    for at in (0, 0x1F, 0x20, 0x21, 0x3F, 0x40, 0x5F, 0x60, 0xFF):
        (row,) = functions(code, [piece], (1, BASE + at))
        assert row in everything
        assert row[1] <= BASE + at < row[2]


def test_symbols_and_entries_begin_functions(functions):
    piece = Code(
        region(1, BASE, 0x100), BASE - 0x1000, "kernel", (BASE + 0x80,), {BASE + 0x90: "start_kernel", 5: "elsewhere"}
    )
    executed = ((1, BASE + at) for at in (0, 0x85, 0x95))
    assert functions(calling(0x20), [piece], *executed) == [
        (1, BASE, BASE + 0x20, "kernel+0x1000"),
        (1, BASE + 0x80, BASE + 0x90, "kernel+0x1080"),
        (1, BASE + 0x90, BASE + 0x100, "start_kernel"),
    ]


def test_each_region_has_its_own_blocks(functions):
    one, other, idle = (Code(region(number, BASE + 0x100 * number, 0x100), BASE, f"r{number}") for number in range(3))
    code = calling(0x20) * 3
    assert functions(code, [one, other, idle], (0, BASE + 0x30), (1, BASE + 0x100), (7, BASE + 0x230)) == [
        (0, BASE + 0x20, BASE + 0x100, "r0+0x20"),
        (1, BASE + 0x100, BASE + 0x120, "r1+0x100"),
    ]


def test_a_region_without_executed_blocks_is_not_even_read(tmp_path, functions):
    functions(b"", [])

    def read(_start, _size):
        raise AssertionError("there is no need")

    write_functions(tmp_path, "x86_64", [Code(region(1, BASE, 0x100), BASE, "image")], read)
    assert pq.read_table(tmp_path / "functions.parquet").num_rows == 0


def test_of_a_huge_region_the_beginning_only(functions, monkeypatch):
    """Behind it, whatever is executed belongs to no function: least of all to the last one that is known."""
    monkeypatch.setattr(code_module, "_MOST_SEARCHED", 0x80)
    piece = Code(region(1, BASE, 0x10000), BASE, "image")
    code = calling(0x20, 0x60)
    assert functions(code, [piece], (1, BASE + 0x20), (1, BASE + 0x80), (1, BASE + 0x9000)) == [
        (1, BASE + 0x20, BASE + 0x60, "image+0x20")
    ]
    assert functions(code, [piece], (1, BASE + 0x80)) == []


def test_a_run_has_functions_for_all_blocks_of_its_payload(tmp_path):
    """Two ways through one program: what both came through has one name."""
    payload = payloads.open_payload(catalogue.program("program:hello"))
    found = {}
    for name, most in (("short", 200), ("whole", 1 << 30)):
        (tmp_path / name).mkdir()
        Session(Request(payload, load_platform("q35"), trace="exact", max_blocks=most), tmp_path / name).run()
        blocks = pq.read_table(tmp_path / name / "coverage/blocks.parquet").to_pylist()
        rows = pq.read_table(tmp_path / name / "functions.parquet").to_pylist()
        found[name] = {tuple(row.values()) for row in rows}
        regions = {row["region"] for row in rows}
        starts = {row["start"] for row in blocks if row["region"] in regions}
        assert starts
        for start in starts:
            assert sum(row["start"] <= start < row["end"] for row in rows) == 1
        for row in rows:
            assert any(row["start"] <= start < row["end"] for start in starts)
    assert found["short"] < found["whole"]
