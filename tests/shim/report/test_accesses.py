"""Folded accesses on stdout, summed in one way or another."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shim.errors import UnreadableError, UsageError
from shim.report.accesses import WAYS, show_accesses
from shim.trace.folder import open_run
from shim.trace.tables import CALLS, FUNCTIONS, REGIONS, TOUCHED

GATE, METHOD = 0x5000, 0x5008
ROWS = {
    CALLS: [
        {"seq": 0, "pc": GATE, "service": "AllocatePages"},
        {"seq": 1, "pc": METHOD, "service": "LoadFile", "protocol": "EFI_LOAD_FILE2_PROTOCOL"},
        {"seq": 2, "pc": GATE, "service": "AllocatePages"},
    ],
    REGIONS: [
        {"id": 1, "start": 0x1000, "end": 0x1800, "kind": "image", "name": "old .text", "type": "LoaderCode",
         "died_call": 0},
        {"id": 2, "start": 0x1000, "end": 0x2000, "kind": "image", "name": "stub .text", "type": "LoaderCode",
         "born_call": 0},
        {"id": 3, "start": 0x8000, "end": 0x9000, "kind": "pages", "name": "initrd", "type": "LoaderData",
         "born_call": 1},
        {"id": 4, "start": 0x9000, "end": 0xA000, "kind": "pool", "name": "", "type": "LoaderData"},
    ],
    FUNCTIONS: [
        {"region": 2, "start": 0x1000, "end": 0x1100, "name": "efi_main"},
        {"region": 2, "start": 0x1100, "end": 0x2000, "name": "stub+0x100"},
    ],
}  # fmt: skip


def touched(region, write, count, size, call, origin="cpu", pc=0x1000):
    names = ("region", "write", "count", "bytes", "first_call", "last_call", "origin", "pc")
    return dict(zip(names, (region, write, count, size, call, call, origin, pc), strict=True))


TOUCHES = (
    touched(4, False, 1, 8, 0, pc=0x1010),  # by code that is gone
    touched(4, True, 4, 32, 1, pc=0x1010),
    touched(3, True, 1, 8, 2, pc=0x1010),
    touched(3, True, 2, 1992, 3, pc=0x1200),
    touched(3, False, 1, 4, 3, pc=0x1200),
    touched(0, False, 1, 1, 0, pc=0x7000),
    touched(3, True, 1, 3000, 2, origin="service", pc=METHOD),
    touched(4, True, 1, 5000, 0, origin="service", pc=0),
)


@pytest.fixture
def folder(tmp_path, make_report):
    (tmp_path / "run.json").write_text(make_report(accesses={"level": "exact"}).to_json())
    for table, rows in (ROWS | {TOUCHED: TOUCHES}).items():
        pq.write_table(pa.Table.from_pylist(list(rows), schema=table.schema()), tmp_path / f"{table.name}.parquet")
    return tmp_path


@pytest.fixture
def shown(folder, capsys):
    """The heading and the lines; several blanks stand between two cells."""

    def show(*arguments, **named):
        show_accesses(open_run(folder), *arguments, **named)
        out, err = capsys.readouterr()
        assert err == ""
        head, *lines = out.splitlines()
        # Numbers are never empty, so columns are where their headings begin.
        names = head.split()
        ends = [*(head.index(name) for name in names[1:]), None]
        begins = [0, *ends[:-1]]
        cells = [[line[one:other].strip() for one, other in zip(begins, ends, strict=True)] for line in lines]
        return names, cells

    return show


SUMS = ["kind", "accesses", "bytes", "first_call", "last_call"]


def test_by_region_and_direction(shown):
    assert shown(0) == shown(0, "region")
    names, lines = shown(0)
    assert names == ["start", "region", "origin", *SUMS]
    assert lines == [
        ["0x9000", "pool LoaderData", "service", "write", "1", "5000", "0", "0"],
        ["0x8000", "pages initrd LoaderData", "service", "write", "1", "3000", "2", "2"],
        ["0x8000", "pages initrd LoaderData", "cpu", "write", "3", "2000", "2", "3"],
        ["0x9000", "pool LoaderData", "cpu", "write", "4", "32", "1", "1"],
        ["0x9000", "pool LoaderData", "cpu", "read", "1", "8", "0", "0"],
        ["0x8000", "pages initrd LoaderData", "cpu", "read", "1", "4", "3", "3"],
        ["NULL", "nobody's memory", "cpu", "read", "1", "1", "0", "0"],
    ]


def test_by_function_or_service(shown):
    """Code that was gone when the function came to stand there is not taken for it."""
    names, lines = shown(0, "function")
    assert names == ["function", "origin", *SUMS]
    assert lines == [
        ["the start", "service", "write", "1", "5000", "0", "0"],
        ["EFI_LOAD_FILE2_PROTOCOL.LoadFile", "service", "write", "1", "3000", "2", "2"],
        ["stub+0x100", "cpu", "write", "2", "1992", "3", "3"],
        ["efi_main", "cpu", "write", "5", "40", "1", "2"],
        ["code elsewhere", "cpu", "read", "2", "9", "0", "0"],
        ["stub+0x100", "cpu", "read", "1", "4", "3", "3"],
    ]


def test_by_instruction(shown):
    names, lines = shown(0, "code")
    assert names == ["pc", "function", "region", *SUMS]
    assert lines == [
        ["0x1200", "stub+0x100", "pages initrd LoaderData", "write", "2", "1992", "3", "3"],
        ["0x1010", "efi_main", "pool LoaderData", "write", "4", "32", "1", "1"],
        ["0x1010", "efi_main", "pages initrd LoaderData", "write", "1", "8", "2", "2"],
        ["0x1010", "NULL", "pool LoaderData", "read", "1", "8", "0", "0"],
        ["0x1200", "stub+0x100", "pages initrd LoaderData", "read", "1", "4", "3", "3"],
        ["0x7000", "NULL", "nobody's memory", "read", "1", "1", "0", "0"],
    ]


def test_by_the_call_since_which_they_happened(shown):
    names, lines = shown(0, "call")
    assert names == ["call", "since", "origin", *SUMS]
    assert sorted(lines) == sorted(
        [
            ["NULL", "the start", "cpu", "read", "2", "9", "0", "0"],
            ["NULL", "the start", "service", "write", "1", "5000", "0", "0"],
            ["0", "AllocatePages", "cpu", "write", "4", "32", "1", "1"],
            ["1", "EFI_LOAD_FILE2_PROTOCOL.LoadFile", "cpu", "write", "1", "8", "2", "2"],
            ["1", "EFI_LOAD_FILE2_PROTOCOL.LoadFile", "service", "write", "1", "3000", "2", "2"],
            ["2", "AllocatePages", "cpu", "read", "1", "4", "3", "3"],
            ["2", "AllocatePages", "cpu", "write", "2", "1992", "3", "3"],
        ]
    )
    begun = [line[0] for line in lines if line[0] != "NULL"]
    assert begun == sorted(begun)


@pytest.mark.parametrize(
    ("calls", "by_cpu", "by_services"),
    [
        ((None, None), 9 + 32 + 8 + 1996, 8000),
        ((0, None), 32 + 8 + 1996, 3000),
        ((0, 1), 32, 0),
        ((1, 2), 8, 3000),
        ((2, None), 1996, 0),
        ((None, 0), 9, 5000),
        ((None, 2), 9 + 32 + 8, 8000),
        ((3, 1 << 62), 0, 0),
    ],
)
@pytest.mark.parametrize("by", WAYS)
def test_between_two_calls(shown, by, calls, by_cpu, by_services):
    """Services execute no instructions of the guest's."""
    names, lines = shown(0, by, calls=calls)
    at = names.index("bytes")
    assert sum(int(line[at]) for line in lines) == by_cpu + (by_services if by != "code" else 0)


@pytest.mark.parametrize(
    ("code", "bytes_"),
    [
        ((0x1010, 0x1011), 48),
        ((0x1011, 0x1200), 0),
        ((0x1200, None), 1997),
        ((None, 0x1200), 48),
        ((0, (1 << 64) - 1), 2045),
    ],
)
@pytest.mark.parametrize("by", WAYS)
def test_by_some_code(shown, by, code, bytes_):
    """What services do is no code's doing."""
    names, lines = shown(0, by, code=code)
    at = names.index("bytes")
    assert sum(int(line[at]) for line in lines) == bytes_
    assert "service" not in [cell for line in lines for cell in line]


def test_code_and_calls_together(shown):
    _, lines = shown(0, "code", (0x1010, 0x1011), (1, 2))
    assert lines == [["0x1010", "efi_main", "pages initrd LoaderData", "write", "1", "8", "2", "2"]]


@pytest.mark.parametrize("by", WAYS)
def test_a_limit_leaves_the_first(shown, by):
    _, lines = shown(0, by)
    assert len(lines) > 2
    assert shown(2, by)[1] == lines[:2]


def test_another_way_is_refused(shown):
    with pytest.raises(UsageError, match=r"region, function, code, call"):
        shown(0, "moon")


def test_the_level_exact_is_needed(folder, shown, make_report):
    (folder / "run.json").write_text(make_report().to_json())
    with pytest.raises(UnreadableError, match="--trace exact"):
        shown(0)


@pytest.mark.parametrize("by", ["function", "code"])
def test_functions_are_needed_only_where_they_are_named(folder, shown, by):
    (folder / "functions.parquet").unlink()
    assert shown(0, "region")
    assert shown(0, "call")
    with pytest.raises(UnreadableError, match="functions"):
        shown(0, by)
