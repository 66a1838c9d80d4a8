"""The parts of a run folder as tables on stdout."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shim.errors import UnreadableError
from shim.report.tables import (
    show_calls,
    show_events,
    show_handoff,
    show_regions,
    show_summary,
)
from shim.trace import writer as writer_module
from shim.trace.folder import open_run
from shim.trace.tables import CALLS, REGIONS
from shim.trace.writer import TableWriter

GUID = "8be4df61-93ca-11d2-aa0d-00e098032b8c"


def call(
    seq, depth=0, service="Stall", arguments=None, results=None, status="EFI_SUCCESS", protocol=None, image="stub"
):
    arguments, results = (json.dumps(each or {}) for each in (arguments, results))
    return (
        seq, None, depth, image, 0x5000, 0x2000 + seq, "boot", service, protocol, arguments, results, status,
        0, 0, 0, 0,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path, make_report):
    (tmp_path / "run.json").write_text(
        make_report(
            accesses={
                "level": "exact", "count": 1, "reads": 1, "writes": 0, "bytes_read": 1, "bytes_written": 0,
                "digest": "", "kept": False,
            }
        ).to_json()
    )  # fmt: skip
    return tmp_path


def write(folder, table, *rows):
    writer = TableWriter(folder, table)
    for row in rows:
        writer.add(row)
    writer.close()


@pytest.fixture
def shown(folder, capsys):
    """The lines that a part of the folder is shown as, without the line of headings."""

    def show(part, limit=0):
        part(open_run(folder), limit)
        out, err = capsys.readouterr()
        assert err == ""
        return [line.rstrip() for line in out.splitlines()][1:]

    return show


def test_calls(shown, folder):
    write(
        folder,
        CALLS,
        call(0, service="SetVariable", arguments={"vendor": GUID, "size": 5, "data": None}),
        call(1, depth=1, protocol="P", service="M", results={"count": 7}, status=None),
        call(2, image=""),
    )
    first, second, third = shown(show_calls)
    assert first.split(maxsplit=3)[:3] == ["0", "stub", "0x2000"]
    assert "SetVariable(vendor=EFI_GLOBAL_VARIABLE" in first, "GUIDs are told by their names"
    assert "size=5)" in first, "and what is NULL is left out"
    assert first.split()[3] == "EFI_SUCCESS"
    assert second.split()[3] == "-", "it never returned"
    assert second.endswith("  P.M() → count=7")
    assert third.split() == ["2", "0x2002", "EFI_SUCCESS", "Stall()"]


def test_calls_come_in_the_order_in_which_they_began(shown, folder, monkeypatch):
    """A call that lasts is written behind those that ended before."""
    monkeypatch.setattr(writer_module, "BATCH", 2)
    write(folder, CALLS, *(call(seq) for seq in (1, 2, 3, 4, 0)))
    assert [line.split()[0] for line in shown(show_calls)] == ["0", "1", "2", "3", "4"]
    assert [line.split()[0] for line in shown(show_calls, 2)] == ["0", "1"]


@pytest.mark.parametrize("text", ["[red]x[/red]", "\x1b[31m", "a\nb", ":smile:", "x\\", "\t"])
def test_text_of_the_guest_is_shown_as_it_is(shown, folder, text):
    write(folder, CALLS, call(0, arguments={"text": text}))
    (line,) = shown(show_calls)
    visible = {"\x1b[31m": "\\x1b[31m", "a\nb": "a\\nb", "\t": "\\t"}.get(text, text)
    assert f"Stall(text={visible})" in line


@pytest.mark.parametrize("text", ["", "{", "[1]", "5", "[" * 5000])
def test_cells_that_are_no_json_object(shown, folder, text):
    row = list(call(0))
    row[9] = text
    write(folder, CALLS, tuple(row))
    (line,) = shown(show_calls)
    assert f"Stall({text})" in line


def test_regions(shown, folder):
    write(
        folder,
        REGIONS,
        (1, 0x2000, 0x3000, "pages", "stub", "LoaderData", "initrd", 3, 9, 5, 6),
        (2, 0x1000, 0x2000, "image", "", "LoaderCode", ".text", None, None, None, None),
    )
    assert [line.split() for line in shown(show_regions)] == [
        ["0x1000", "0x2000", "image", "firmware", "LoaderCode", ".text", "start", "end", "-", "-"],
        ["0x2000", "0x3000", "pages", "stub", "LoaderData", "initrd", "3", "9", "5", "6"],
    ]
    assert len(shown(show_regions, 1)) == 1


def test_events(folder, capsys, shown, make_report):
    show_events(open_run(folder), 0)
    assert "no measurements" in capsys.readouterr().out
    event = {"pcr": 4, "mr": None, "type": "EV_IPL", "digests": {}, "description": "a\nb", "call": 1}
    (folder / "run.json").write_text(make_report(measurements=[event]).to_json())
    assert [line.split() for line in shown(show_events)] == [["4", "None", "EV_IPL", "a\\nb"]]


def test_the_summary_goes_to_stdout(folder, capsys):
    show_summary(open_run(folder), 0)
    assert "returned EFI_SUCCESS" in capsys.readouterr().out


def test_the_hand_off(folder, capsys):
    state = {
        "entry": 0x100_0200,
        "registers": {"rax": 255},
        "gdt": None,
        "boot_params": {"command_line": "quiet", "e820": [{"start": 0x1000, "size": 0x2000, "type": "usable"}]},
        "memory_map": [{"start": 0x1000, "pages": 3, "type": 7, "attribute": 15}],
        "configuration_tables": {},
    }
    (folder / "handoff").mkdir()
    (folder / "handoff" / "state.json").write_text(json.dumps(state))
    show_handoff(open_run(folder), 0)
    out = capsys.readouterr().out
    assert "0x1000200" in out
    assert "0xff" in out
    assert "ConventionalMemory" in out
    assert "0x000000001000" in out
    assert "usable" in out


def test_without_an_entry_there_is_no_hand_off(folder):
    with pytest.raises(UnreadableError, match="no kernel entry"):
        show_handoff(open_run(folder), 0)


@pytest.mark.parametrize(
    "found",
    [
        pa.table({"seq": pa.array([0], pa.uint64())}),  # columns are missing
        CALLS.schema().empty_table().drop_columns(["status"]),
        pa.table({column.name: ["no number"] for column in CALLS.columns}),
    ],
    ids=["one column", "all but one", "other types"],
)
def test_a_table_of_another_kind_is_refused(folder, found):
    pq.write_table(found, folder / "calls.parquet")
    with pytest.raises(UnreadableError, match="table calls") as caught:
        show_calls(open_run(folder), 0)
    assert "\n" not in str(caught.value)
