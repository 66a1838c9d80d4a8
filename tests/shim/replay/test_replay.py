"""A run done again: its rows are stored, or it is another run and nothing changes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import payloads
from payloads import catalogue
from shim.config.platform import load_platform
from shim.errors import DiffersError, UnreadableError, UsageError
from shim.replay import Given, replay
from shim.session.request import Request
from shim.session.run import Session
from shim.trace import native as native_module
from shim.trace.folder import open_run

Q35 = load_platform("q35")
SMALL = load_platform("q35").with_memory(64 << 20)
SOON = 300_000  # blocks


def program(name):
    return payloads.open_payload(catalogue.program(f"program:{name}"), f"program:{name}")


def files(folder):
    """Everything in a folder, by name, but for its times."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(folder):
    """The rows in their order."""
    return [row for path in sorted((folder / "accesses").iterdir()) for row in pq.read_table(path).to_pylist()]


def digest(folder):
    rows = pq.ParquetDataset(sorted((folder / "accesses").iterdir())).read()
    pc, address, size, write = (rows[name].to_numpy() for name in ("pc", "address", "size", "write"))
    words = np.empty((len(pc), 2), "<u8")
    words[:, 0] = address
    words[:, 1] = pc | np.log2(size).astype("u8") << np.uint64(56) | write.astype("u8") << np.uint64(63)
    return hashlib.sha256(words.tobytes()).hexdigest()


def edit(folder, **parts):
    """Say something else in run.json."""
    told = json.loads((folder / "run.json").read_text())
    for name, part in parts.items():
        told[name] = {**told[name], **part} if isinstance(part, dict) else part
    (folder / "run.json").write_text(json.dumps(told))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder of a run that is made but once."""
    made = {}

    def get(name, **request):
        key = name, *sorted(request.items())
        if key not in made:
            made[key] = tmp_path_factory.mktemp("run")
            Session(Request(program(name), **{"platform": Q35, "trace": "exact"} | request), made[key]).run()
        return made[key]

    return get


@pytest.fixture
def recorded(original, tmp_path):
    """The folder of a run, for one test alone."""

    def get(name="images", **request):
        shutil.copytree(original(name, **request), tmp_path / "run")
        return tmp_path / "run"

    return get


def again(folder, name="images", initrd=None, **more):
    given = Given(program(name), initrd, max_seconds=more.pop("max_seconds", 300.0))
    return replay(open_run(folder), given, **more)


def interrupt(_progress):
    """What the user does while it runs."""
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("name", ["hello", "images", "handoff_like", "write_code"])
def test_all_rows_are_stored_and_nothing_else_changes(name, recorded, original):
    folder = recorded(name)
    before = files(folder)
    done = again(folder, name)
    report = open_run(folder).report
    assert done.differs == ()
    assert done.rows == len(rows_of(folder)) == report.accesses.count > 0
    assert digest(folder) == report.accesses.digest
    was = open_run(original(name)).report
    assert report == was.model_copy(update={"accesses": was.accesses.model_copy(update={"kept": True})})
    after = files(folder)
    assert {each for each in after if after[each] != before.get(each)} == {"run.json", f"accesses/{0:016d}.parquet"}
    assert before.keys() < after.keys()


def test_rows_are_those_of_a_run_that_keeps_them(recorded, original):
    folder = recorded()
    again(folder)
    kept = original("images", keep=True)
    assert rows_of(folder) == rows_of(kept)
    assert open_run(folder).report.accesses == open_run(kept).report.accesses


def test_rows_take_the_place_of_others(recorded):
    folder = recorded()
    (folder / "accesses").mkdir()
    for name in (f"{7:016d}.parquet", f"{9:016d}.parquet.part"):
        (folder / "accesses" / name).write_bytes(b"old")
    again(folder)
    assert [path.name for path in (folder / "accesses").iterdir()] == [f"{0:016d}.parquet"]


@pytest.mark.parametrize("calls", [(10, 20), (20, None), (None, 10), (0, 1), (None, 0), (67, None), (5, 10_000)])
def test_rows_between_two_calls(calls, recorded, original):
    folder = recorded()
    begins = [row["first_access"] for row in pq.read_table(folder / "calls.parquet").to_pylist()]
    first = 0 if calls[0] is None else begins[calls[0]]
    last = begins[calls[1]] if calls[1] is not None and calls[1] < len(begins) else None
    done = again(folder, calls=calls)
    everything = rows_of(original("images", keep=True))
    assert rows_of(folder) == everything[first:last]
    assert done.rows == len(everything[first:last])
    assert [path.name for path in (folder / "accesses").iterdir()] == [f"{first:016d}.parquet"]
    assert open_run(folder).report == open_run(original("images")).report
    assert open_run(folder).report.accesses.kept is False


def test_a_part_takes_the_place_of_the_whole_and_the_other_way_round(recorded):
    folder = recorded()
    for calls, kept in (((None, None), True), ((10, 20), False), ((None, None), True)):
        rows = again(folder, calls=calls).rows
        assert open_run(folder).report.accesses.kept is kept
        assert (rows == open_run(folder).report.accesses.count) is kept
        assert len(list((folder / "accesses").iterdir())) == 1


def test_calls_that_never_come_leave_no_rows(recorded):
    folder = recorded()
    again(folder)
    assert again(folder, calls=(5000, None)).rows == 0
    assert not (folder / "accesses").exists()
    assert open_run(folder).report.accesses.kept is False


def test_what_went_into_a_run_goes_into_its_replay(recorded):
    """Each of these changes what the guest sees."""
    folder = recorded("hello", platform=SMALL, cmdline="quiet splash", initrd=b"files" * 500, seed=12)
    assert again(folder, "hello", initrd=b"files" * 500).differs == ()


def test_a_budget_of_blocks_is_kept_to(recorded):
    folder = recorded("selftest", max_blocks=5000)
    assert again(folder, "selftest").differs == ()
    report = open_run(folder).report
    assert report.outcome.detail == "it ran for 5000 blocks"
    assert digest(folder) == report.accesses.digest


@pytest.mark.parametrize("name", ["loop", "call_loop"])
def test_a_run_that_the_clock_ended_is_compared_as_far_as_it_went(name, recorded):
    folder = recorded(name, max_seconds=0.3)
    was = open_run(folder).report
    assert was.engine.deterministic is False
    done = again(folder, name)
    assert done.differs == ()
    assert done.rows == len(rows_of(folder)) == was.accesses.count > 0
    assert digest(folder) == was.accesses.digest
    assert open_run(folder).report == was.model_copy(
        update={"accesses": was.accesses.model_copy(update={"kept": True})}
    )


def test_a_part_of_a_run_that_the_clock_ended(recorded):
    folder = recorded("call_loop", max_seconds=0.3)
    again(folder, "call_loop")
    everything = rows_of(folder)
    begins = [row["first_access"] for row in pq.read_table(folder / "calls.parquet").to_pylist()]
    again(folder, "call_loop", calls=(0, None))
    assert rows_of(folder) == everything[begins[0] :]


def test_a_run_that_its_user_ended_is_compared_as_far_as_it_went(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    report = Session(Request(program("loop"), Q35, trace="exact"), folder, progress=interrupt).run()
    assert report.outcome.detail == "interrupted"
    assert again(folder, "loop").rows == report.accesses.count


def test_a_cut_run_with_other_accesses_is_another_run(recorded):
    """Nothing but the accesses is compared: calls and memory are those of another moment."""
    folder = recorded("loop", max_seconds=0.3)
    edit(folder, memory={"digest": "0" * 64}, console="other")
    assert again(folder, "loop").differs == ()
    edit(folder, accesses={"digest": "0" * 64})
    assert again(folder, "loop").differs == ("accesses.digest",)


@pytest.mark.parametrize(
    ("parts", "differs"),
    [
        ({"accesses": {"digest": "ab" * 32}}, "accesses.digest"),
        ({"accesses": {"count": 5}}, "accesses.count: 5, now {accesses}"),
        ({"memory": {"digest": "ab" * 32}}, "memory.digest"),
        ({"outcome": {"status": "EFI_ABORTED"}}, "outcome.status: EFI_ABORTED, now EFI_SUCCESS"),
        ({"calls": {"count": 1}}, "calls.count: 1, now {calls}"),
        ({"boot_services_exited": True}, "boot_services_exited: True, now False"),
        ({"console": "nothing of that"}, "console"),
        ({"platform": {"sha256": "ab" * 32}}, "platform.sha256"),
        ({"payload": {"kind": "uki"}}, "payload.kind: uki, now efi-application"),
        ({"findings": [{"kind": "x", "first": "y", "first_call": None, "count": 1}]}, "findings"),
    ],
)
@pytest.mark.parametrize("calls", [(None, None), (10, 20)])
def test_another_run_is_told_and_changes_nothing(parts, differs, calls, recorded):
    folder = recorded()
    told = json.loads((folder / "run.json").read_text())
    differs = differs.format(accesses=told["accesses"]["count"], calls=told["calls"]["count"])
    (folder / "accesses").mkdir()
    (folder / "accesses" / f"{0:016d}.parquet").write_bytes(b"old")
    edit(folder, **parts)
    before = files(folder)
    done = again(folder, calls=calls)
    assert done.rows == 0
    assert len(done.differs) == 1
    assert done.differs[0].startswith(differs)
    assert files(folder) == before
    assert not list(folder.glob(".replay-*"))


def test_the_hosts_doing_may_differ(recorded):
    folder = recorded("hello")
    edit(
        folder,
        engine={"unicorn": "9", "patched": False, "recorder": "python", "blocks": 1},
        timing={"wall_s": 9e9},
    )
    assert again(folder, "hello").differs == ()


def test_another_platform_is_another_run(recorded):
    folder = recorded("hello")
    (folder / "platform.toml").write_text(SMALL.toml)
    told = again(folder, "hello").differs
    assert {"platform.sha256", "memory.digest"} <= {each.partition(":")[0] for each in told}


def test_a_run_without_accesses_cannot_be_compared(recorded):
    folder = recorded("hello", trace="calls")
    with pytest.raises(UsageError, match="--trace calls"):
        again(folder, "hello")
    assert not (folder / "accesses").exists()


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("count", [None, -5, 1 << 80])
@pytest.mark.parametrize("blocks", [-5, 0, 1 << 80])
def test_numbers_that_no_run_has(deterministic, count, blocks, recorded):
    """The folder is somebody's: the replay is another run, or the same, but no bug of ours."""
    folder = recorded("hello")
    edit(
        folder,
        engine={"deterministic": deterministic, "blocks": blocks},
        accesses={"count": count},
        outcome={"kind": "budget"},
    )
    assert isinstance(again(folder, "hello").differs, tuple)


def stop_at_once(*_arguments, **_named):
    raise KeyboardInterrupt


def give_up(*_arguments, **_named):
    raise UnreadableError("run.json: No space left on device")


def no_space(*_arguments, **_named):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def unchanged(recorded):
    """The folder of a loop with and without rows; afterwards it has to be as it was."""
    folder = recorded("loop", max_blocks=SOON)

    def check(error, says, **more):
        for rows in (None, b"old"):
            if rows is not None:
                (folder / "accesses").mkdir()
                (folder / "accesses" / f"{0:016d}.parquet").write_bytes(rows)
            before = files(folder)
            with pytest.raises(error, match=says):
                again(folder, "loop", **more)
            assert files(folder) == before
            assert not list(folder.glob(".replay-*"))
            assert (folder / "accesses").exists() is (rows is not None)

    return check


def test_a_replay_that_takes_too_long_changes_nothing(unchanged):
    unchanged(DiffersError, "did not come to its end: it ran for 0.01 seconds", max_seconds=0.01)


def test_an_interrupted_replay_changes_nothing(unchanged):
    unchanged(DiffersError, "did not come to its end: interrupted", progress=interrupt)


def test_a_replay_that_cannot_store_its_rows_changes_nothing(unchanged, monkeypatch):
    monkeypatch.setattr(native_module, "RowWriter", give_up)
    unchanged(UnreadableError, "No space left")


@pytest.mark.parametrize(
    ("fails", "error", "says"),
    [
        (give_up, UnreadableError, "No space left"),
        (no_space, UnreadableError, "run: No space left"),
        (stop_at_once, KeyboardInterrupt, None),
    ],
)
def test_a_replay_that_fails_at_the_very_end_changes_nothing(fails, error, says, unchanged, monkeypatch):
    # By this name the package has the function.
    monkeypatch.setattr(sys.modules["shim.replay.replay"], "write_whole", fails)
    unchanged(error, says)


def test_rows_that_cannot_be_moved_stay(unchanged, monkeypatch):
    rename = Path.rename

    def refuse(self, target):
        if target.name == "accesses" and self.parent.name.startswith(".replay-") and self.name == "accesses":
            no_space()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    unchanged(UnreadableError, "No space left")


def test_a_folder_that_cannot_be_written_to(unchanged, monkeypatch):
    """Said before anything is run."""

    def read_only(*_arguments, **_named):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkdtemp", read_only)
    unchanged(UnreadableError, "run: Read-only file system", progress=stop_at_once)
