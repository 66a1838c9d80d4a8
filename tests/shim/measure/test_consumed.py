"""What the stub read of its inputs, by tables of a handful of rows."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from efi_services.tcg.piece import piece
from shim.errors import UnreadableError
from shim.measure import pieces
from shim.measure.consumed import consumed
from shim.trace.folder import RunFolder
from shim.trace.tables import FUNCTIONS, REGIONS, TOUCHED

POOL, STACK = (1, 0x1000, 0x2000, "pool"), (2, 0x8000, 0x9000, "stack")


def table(kind, rows):
    """A table of *kind*; what a row doesn't tell is null."""
    columns = {each.name: [row.get(each.name) for row in rows] for each in kind.columns}
    return pa.table({name: pa.array(values, kind.schema().field(name).type) for name, values in columns.items()})


def read(pc, size, region=1, first_call=5, origin="cpu", write=False):
    names = ("pc", "bytes", "region", "first_call", "origin", "write")
    return dict(zip(names, (pc, size, region, first_call, origin, write), strict=True))


@pytest.fixture
def run(make_report, tmp_path):
    """A traced run: its inputs, and who read what."""

    def make(inputs, reads, level="exact"):
        pieces.save(tmp_path / pieces.INPUTS, inputs)
        regions = [dict(zip(("id", "start", "end", "kind"), each, strict=True)) for each in (POOL, STACK)]
        functions = [{"start": 0x100, "end": 0x200, "name": "copy"}, {"start": 0x200, "end": 0x300, "name": "parse"}]
        for kind, rows in ((REGIONS, regions), (TOUCHED, reads), (FUNCTIONS, functions)):
            pq.write_table(table(kind, rows), tmp_path / f"{kind.name}.parquet")
        return RunFolder(tmp_path, make_report(accesses={"level": level}))

    return make


def brief(found):
    return [(each.piece.name, each.bytes_read, each.readers) for each in found]


def test_readers_come_with_the_one_that_read_most_first(run):
    reads = [read(0x110, 3), read(0x250, 20), read(0x1F0, 4), read(0x400, 7)]
    assert brief(consumed(run([piece("map", b"x", 0x1100)], reads))) == [("map", 34, ("parse", "0x400", "copy"))]


def test_those_who_read_as_much_are_in_alphabetical_order(run):
    found = consumed(run([piece("map", b"x", 0x1100)], [read(0x250, 4), read(0x110, 4)]))
    assert found[0].readers == ("copy", "parse")


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [read(0x110, 8, write=True)],
        [read(0x110, 8, origin="service")],
        [read(0x110, 8, region=2)],
        [read(0x110, 8, first_call=3)],  # before the call that brought it: somebody else's bytes
    ],
)
def test_what_nobody_read(run, reads):
    assert brief(consumed(run([piece("map", b"x", 0x1100, 3)], reads))) == [("map", 0, ())]


def test_reads_from_the_call_on_that_brought_it(run):
    reads = [read(0x110, 8, first_call=3), read(0x110, 2, first_call=4)]
    found = run([piece("map", b"x", 0x1100, 3), piece("load options", b"x", 0x1100)], reads)
    assert [each.bytes_read for each in consumed(found)] == [2, 10]


def test_of_files_and_on_the_stack_nothing_is_known(run):
    found = run([piece("initrd", b"x"), piece("variable", b"x", 0x8800)], [read(0x110, 8, region=2)])
    assert brief(consumed(found)) == [("initrd", None, ()), ("variable", None, ())]


@pytest.mark.parametrize(("address", "size"), [(0xFFF, 0), (0x1000, 8), (0x1FFF, 8), (0x2000, 0), ((1 << 64) - 1, 0)])
def test_a_regions_bounds(run, address, size):
    assert consumed(run([piece("map", b"x", address)], [read(0x110, 8)]))[0].bytes_read == size


def test_a_run_that_was_not_traced(run):
    found = run([piece("map", b"x", 0x1100)], [read(0x110, 8)], level="calls")
    (found.path / "touched.parquet").unlink()
    assert brief(consumed(found)) == [("map", None, ())]


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PAR1")])
@pytest.mark.parametrize("name", ["touched", "regions", "functions"])
def test_a_table_that_can_not_be_read(run, name, damage):
    found = run([piece("map", b"x", 0x1100)], [])
    damage(found.path / f"{name}.parquet")
    with pytest.raises(UnreadableError, match=name) as raised:
        consumed(found)
    assert "\n" not in str(raised.value)


def test_a_table_without_the_columns(run):
    found = run([piece("map", b"x", 0x1100)], [])
    pq.write_table(pa.table({"x": [1]}), found.path / "touched.parquet")
    with pytest.raises(UnreadableError):
        consumed(found)
