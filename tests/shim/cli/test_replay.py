"""The verb replay: what it says, and how it ends."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import pyarrow.parquet as pq
import pytest

from payloads import catalogue
from shim.cli.replay import parse_calls
from shim.errors import UsageError

HELLO = catalogue.program("program:hello").read_bytes()
OTHER = catalogue.program("program:exit_events").read_bytes()


@pytest.fixture
def recorded(command, tmp_path):
    """The folder of a run."""

    def make(payload="program:hello", *options):
        assert command("run", payload, "--trace", "exact", "--out", "run", "--quiet", *options).code in (0, 5)
        return tmp_path / "run"

    return make


def edit(folder, **parts):
    """Say something else in run.json."""
    told = json.loads((folder / "run.json").read_text())
    for name, part in parts.items():
        told[name].update(part)
    (folder / "run.json").write_text(json.dumps(told))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_tells_how_many_rows_there_are(command, recorded):
    folder = recorded()
    done = command("replay", "run")
    count = json.loads((folder / "run.json").read_text())["accesses"]["count"]
    assert (done.code, done.out) == (0, "")
    assert f"The same run. {count:,} accesses are in run/accesses." in done.err
    assert pq.read_metadata(folder / "accesses" / f"{0:016d}.parquet").num_rows == count


def test_quiet_says_nothing(command, recorded):
    recorded()
    done = command("replay", "run", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_rows_between_two_calls(command, recorded):
    folder = recorded()
    begins = [row["first_access"] for row in pq.read_table(folder / "calls.parquet").to_pylist()]
    end = json.loads((folder / "run.json").read_text())["accesses"]["count"]
    for words, first, last in (("2..5", begins[2], begins[5]), ("..1", 0, begins[1]), ("10..", begins[10], end)):
        done = command("replay", "run", "--calls", words)
        (path,) = (folder / "accesses").iterdir()
        assert path.name == f"{first:016d}.parquet"
        assert pq.read_metadata(path).num_rows == last - first
        assert f"{last - first:,} accesses" in done.err


def test_a_payload_from_the_working_folder(command, recorded, tmp_path):
    (tmp_path / "mine.efi").write_bytes(HELLO)
    recorded("mine.efi")
    assert command("replay", "run").code == 0
    (tmp_path / "mine.efi").rename(tmp_path / "away.efi")
    done = command("replay", "run")
    assert done.code == 12
    assert "--payload" in done.err
    assert len(done.err.splitlines()) == 1
    assert command("replay", "run", "--payload", "away.efi").code == 0
    (tmp_path / "mine.efi").write_bytes(OTHER)
    assert command("replay", "run").code == 12
    assert command("replay", "run", "--payload", "mine.efi").code == 2
    (tmp_path / "mine.efi").write_bytes(b"no program")
    assert command("replay", "run").code == 12
    assert command("replay", "run", "--payload", "mine.efi").code == 11
    assert command("replay", "run", "--payload", "nowhere.efi").code == 10


def test_an_initrd(command, recorded, tmp_path):
    (tmp_path / "initrd").write_bytes(b"files" * 1000)
    (tmp_path / "other").write_bytes(b"others")
    folder = recorded("program:hello", "--initrd", "initrd")
    before = files(folder)
    for arguments, code, says in (
        ((), 12, "--initrd"),
        (("--initrd", "other"), 2, "not the run's initrd"),
        (("--initrd", "nowhere"), 10, "nowhere"),
    ):
        done = command("replay", "run", *arguments)
        assert done.code == code
        assert says in done.err
        assert len(done.err.splitlines()) == 1
        assert files(folder) == before
    assert command("replay", "run", "--initrd", "initrd").code == 0


def test_a_run_without_accesses(command):
    command("run", "program:hello", "--trace", "calls", "--out", "run", "--quiet")
    done = command("replay", "run")
    assert done.code == 2
    assert "--trace calls" in done.err


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        ("accesses", {"digest": "ab" * 32}, "accesses.digest: abababab"),
        ("accesses", {"reads": 7}, "accesses.reads: 7, now "),
        ("outcome", {"detail": "it gave up"}, "outcome.detail: it gave up, now "),
        ("outcome", {"detail": "\x1b[31mred"}, "outcome.detail: \\x1b[31mred, now "),
    ],
)
def test_another_run_is_told_and_rows_stay(part, value, says, command, recorded):
    folder = recorded("program:hello", "--keep-accesses")
    edit(folder, **{part: value})
    before = files(folder)
    done = command("replay", "run", "--calls", "1..2")
    assert done.code == 1
    assert "run: the replay was another run: " in done.err
    assert says.partition(":")[0] in done.err
    if "digest" not in says:  # too long to be told twice
        assert says in done.err
    assert files(folder) == before
    assert not list(folder.glob(".replay-*"))


def test_a_run_that_the_clock_ended(command, recorded):
    folder = recorded("program:call_loop", "--max-seconds", "0.3")
    told = json.loads((folder / "run.json").read_text())
    assert told["engine"]["deterministic"] is False
    done = command("replay", "run")
    assert done.code == 0
    assert f"{told['accesses']['count']:,} accesses" in done.err


def test_a_budget_that_ends_the_replay(command, recorded):
    folder = recorded()
    before = files(folder)
    done = command("replay", "run", "--max-seconds", "0.01")
    assert done.code == 1
    assert "did not come to its end: it ran for 0.01 seconds" in done.err
    assert files(folder) == before


def test_a_folder_that_cannot_be_written_to(command, recorded, monkeypatch):
    def read_only(*_arguments, **_named):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    folder = recorded()
    before = files(folder)
    monkeypatch.setattr(tempfile, "mkdtemp", read_only)
    done = command("replay", "run")
    assert done.code == 10
    assert done.err == "efi-shim: run: Read-only file system\n"
    assert files(folder) == before


def test_a_folder_without_the_right_to_write(command, recorded):
    folder = recorded()
    folder.chmod(0o500)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("root may write everywhere")
        done = command("replay", "run")
    finally:
        folder.chmod(0o700)
    assert done.code == 10
    assert done.err == "efi-shim: run: Permission denied\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, 10),
        (b"", 2),
        (b"name = ", 2),
        (b"\xff\xfe\0", 2),
        (b"name = 5", 2),
        (b'name = "q35"\nmemory = 7', 2),
        (b'name = "q35"\nmachine = "mips"', 2),
        (b'name = "q35"\nmachine = "aarch64"', 11),
        (b'name = "q35"\n[[tables]]\nfile = "/nowhere"', 10),
        (b'name = "other"', 1),
    ],
)
def test_a_damaged_platform_is_one_line(text, code, command, recorded):
    folder = recorded()
    (folder / "platform.toml").unlink()
    if text is not None:
        (folder / "platform.toml").write_bytes(text)
    before = files(folder)
    done = command("replay", "run", "--quiet")
    assert done.code == code
    assert done.err.startswith("efi-shim: ")
    assert len(done.err.splitlines()) == 1
    assert files(folder) == before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "RUN"),
        (["nowhere"], 10, "nowhere"),
        (["."], 10, "run.json"),
        (["run", "--calls", "5..2"], 2, "--calls 5..2"),
        (["run", "--calls", "later"], 2, "--calls later"),
        (["run", "--max-seconds", "0"], 2, "max-seconds"),
    ],
)
def test_bad_words(arguments, code, says, command, recorded):
    recorded()
    done = command("replay", *arguments)
    assert done.code == code
    assert says in done.err


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (None, (None, None)),
        ("10..20", (10, 20)),
        ("0..1", (0, 1)),
        ("10..", (10, None)),
        ("..20", (None, 20)),
        ("..0", (None, 0)),
        ("007..08", (7, 8)),
        (f"0..{'9' * 18}", (0, 10**18 - 1)),
    ],
)
def test_calls(text, calls):
    assert parse_calls(text) == calls


@pytest.mark.parametrize(
    "text",
    [
        *("", "..", "5", "5.6", "5...6", "5..6..7", "-1..5", "a..b", "0x5..0x6", "5..5", "6..5", "1..2\n", " 1..2"),
        pytest.param("٣..٤", id="other digits"),
        pytest.param(f"{'9' * 5000}..", id="long"),
    ],
)
def test_calls_that_are_none(text):
    with pytest.raises(UsageError, match="--calls"):
        parse_calls(text)


def test_ending_it_from_outside_leaves_nothing_behind(recorded):
    """A service manager's way of asking; the run is made to look as if it had taken a day."""
    folder = recorded("program:loop", "--max-blocks", "200000")
    edit(folder, engine={"blocks": 1 << 50})
    before = files(folder)
    process = subprocess.Popen(
        [sys.executable, "-c", "from shim.cli import main; main()", "replay", "run"],
        cwd=folder.parent,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not list(folder.glob(".replay-*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    # Where it has not even begun to run, it is aborted.
    assert b"did not come to its end: interrupted" in err or b"Aborted" in err
    assert process.returncode in (1, 130)
    assert b"Traceback" not in err
    assert files(folder) == before
    assert not list(folder.glob(".replay-*"))
