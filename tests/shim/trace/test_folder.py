"""Run folders that somebody made, somewhere."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shim.errors import ExitCode, UnreadableError
from shim.trace.folder import open_run


@pytest.fixture
def folder(tmp_path, make_report):
    path = tmp_path / "run"
    path.mkdir()
    (path / "run.json").write_text(make_report().to_json())
    return path


def change(folder, **changes):
    data = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**data, **changes}))


def refused(act):
    """The sentence; one line, exit code 10."""
    with pytest.raises(UnreadableError) as caught:
        act()
    assert caught.value.code is ExitCode.UNREADABLE
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_opening(folder, make_report):
    run = open_run(folder)
    assert run.path == folder
    assert run.report == make_report()


@pytest.mark.parametrize("name", ["gone", "run/run.json"])
def test_what_is_no_run_folder(folder, tmp_path, name):
    assert "is this a run folder?" in refused(lambda: open_run(tmp_path / name))


def test_a_folder_without_a_description(folder):
    (folder / "run.json").unlink()
    assert "run.json: No such file" in refused(lambda: open_run(folder))


def test_a_description_that_is_a_folder(folder):
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()
    assert "run.json" in refused(lambda: open_run(folder))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"[]", b"5", b"\xff\xfe", b"{}", b"[" * 100_000, b'{"a":' * 10_000]
)
def test_a_damaged_description(folder, data):
    (folder / "run.json").write_bytes(data)
    assert "run.json" in refused(lambda: open_run(folder))


def test_what_is_wrong_is_named(folder):
    change(folder, outcome={"kind": "vanished", "status": None, "detail": ""})
    assert "outcome.kind" in refused(lambda: open_run(folder))


@pytest.mark.parametrize("schema", ["efi-shim/run/2", "", "else"])
def test_a_description_of_another_version(folder, schema):
    change(folder, schema=schema)
    assert "efi-shim/run/1" in refused(lambda: open_run(folder))


def test_a_later_version_is_told_even_when_its_parts_differ(folder):
    (folder / "run.json").write_text(json.dumps({"schema": "efi-shim/run/2", "everything": "else"}))
    assert "efi-shim/run/2" in refused(lambda: open_run(folder))


def test_tables(folder):
    pq.write_table(pa.table({"seq": [1, 2]}), folder / "calls.parquet")
    assert open_run(folder).table("calls").to_pydict() == {"seq": [1, 2]}


def test_a_table_that_is_not_there(folder):
    assert "calls.parquet: not in this run folder" in refused(lambda: open_run(folder).table("calls"))


@pytest.mark.parametrize("damage", ["empty", "text", "head", "tail", "middle"])
def test_a_damaged_table(folder, damage):
    path = folder / "calls.parquet"
    pq.write_table(pa.table({"text": [f"row {i} of many" for i in range(10_000)]}), path, compression="zstd")
    data = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "text": b"hello" * 10,
            "head": data[: len(data) // 2],
            "tail": data[len(data) // 2 :],
            "middle": data[:1000] + b"\xff" * 2000 + data[3000:],
        }[damage]
    )
    assert "calls.parquet" in refused(lambda: open_run(folder).table("calls"))


def test_the_folders_name_is_no_part_of_a_table(tmp_path, make_report):
    """Folders named key=value mean something to readers of Parquet."""
    path = tmp_path / "seed=1"
    path.mkdir()
    (path / "run.json").write_text(make_report().to_json())
    pq.write_table(pa.table({"seq": [1]}), path / "calls.parquet")
    assert open_run(path).table("calls").column_names == ["seq"]


def test_json_files(folder):
    (folder / "handoff").mkdir()
    (folder / "handoff" / "state.json").write_text('{"entry": 5}')
    run = open_run(folder)
    assert run.json("handoff/state.json") == {"entry": 5}
    assert run.json("gone.json") is None


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b"5", b"null", b"[" * 100_000])
def test_a_damaged_json_file(folder, data):
    (folder / "state.json").write_bytes(data)
    assert "state.json" in refused(lambda: open_run(folder).json("state.json"))
