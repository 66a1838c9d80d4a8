"""Runs that the host lets down, or ends: what was completed stays readable, and nothing looks complete that isn't."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from shim.errors import UnreadableError
from shim.trace.folder import open_run

RUN = [sys.executable, "-c", "from shim.cli import main; main()", "run"]


def start(*arguments, **options):
    return subprocess.Popen(
        [*RUN, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def finished(process):
    """Its exit status and what it said; it may not take for ever."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    return process.returncode, out, err


def wait_for(found, process):
    while not found():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize(("program", "kilobytes"), [("loop", 0), ("loop", 4), ("call_loop", 4), ("call_loop", 40)])
def test_a_disk_that_is_full(tmp_path, program, kilobytes):
    """No file may grow beyond some size: what fails is this table here, and that one there."""
    limit = kilobytes << 10

    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = start(
        f"program:{program}", "--trace", "exact", "--keep-accesses", "--max-blocks", 2_000_000,
        "--out", tmp_path / "run",
        preexec_fn=little_room,
    )  # fmt: skip
    code, _, err = finished(process)
    assert code == 10, err
    assert err.count("efi-shim: ") == 1
    assert str(tmp_path) in err.replace("\n", "")
    assert not (tmp_path / "run" / "run.json").exists()
    for path in (tmp_path / "run").glob("accesses/*.parquet"):
        assert pq.read_metadata(path).num_rows


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_is_recorded_up_to_there(tmp_path, number):
    folder = tmp_path / "run"
    process = start("program:call_loop", "--trace", "exact", "--keep-accesses", "--json", "--out", folder)
    wait_for((folder / "accesses").exists, process)
    process.send_signal(number)
    code, out, _ = finished(process)
    assert code == 5
    report = json.loads(out)
    assert report["outcome"] == {"kind": "budget", "status": None, "detail": "interrupted"}
    assert report["engine"]["deterministic"] is False
    rows = sum(pq.read_metadata(path).num_rows for path in (folder / "accesses").iterdir())
    assert rows == report["accesses"]["count"] > 0


@pytest.mark.kernel
def test_a_run_that_is_killed_leaves_what_was_complete(kernel, tmp_path):
    kernel("debian:bookworm/cloud-amd64")
    folder = tmp_path / "run"
    process = start("debian:bookworm/cloud-amd64", "--keep-accesses", "--out", folder)
    first = folder / "accesses" / f"{0:016d}.parquet"
    wait_for(first.exists, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert pq.read_metadata(first).num_rows == 1 << 24
    with pytest.raises(UnreadableError, match="goes on still, or was killed"):
        open_run(folder)


def test_a_folder_that_goes_away(tmp_path):
    folder = tmp_path / "run"
    process = start("program:loop", "--trace", "exact", "--out", folder)
    wait_for((folder / "platform.toml").exists, process)
    time.sleep(0.3)
    (folder / "platform.toml").unlink()
    Path(folder).rmdir()
    process.send_signal(signal.SIGINT)
    code, _, err = finished(process)
    assert code == 10
    assert "No such file" in err
