"""Every test program comes to the end that it was written for, with the console text that it owes."""

from __future__ import annotations

import json
import tomllib
from importlib import resources

import pytest

from efi_services.abi import ABIS
from payloads.programs import build
from shim.trace.findings import KINDS

EXPECTED = tomllib.loads((resources.files("payloads") / "programs" / "expected.toml").read_text())
#: A loop's end is its budget: enough blocks to see that it loops.
BUDGET = 300_000
FAULTS = {
    "fetch": "fetch from ",
    "write": "write",
    "read": "access to ",
    "exception": "(#",
}


BUILT = [(each.stem, machine) for each in build.PROGRAMS if each.kept for machine in each.machines]


def test_more_images_than_can_be_watched_end_the_run_in_a_line(command, monkeypatch):
    def full(*_):
        raise ValueError("too many ranges or entries")

    monkeypatch.setattr("shim.session.run.Machine.arm", full)
    done = command("run", "program:handoff_like", "--json", "--out", "run", "--trace", "calls")
    outcome = json.loads(done.out)["outcome"]
    assert (done.code, outcome["kind"]) == (4, "fault")
    assert outcome["detail"] == "more images are running than can be told from a kernel"


@pytest.mark.parametrize(("name", "machine"), BUILT)
def test_program_ends_as_it_should(name, machine, command):
    wanted = EXPECTED[name]
    if ABIS[machine].pointer_bytes == 4:
        wanted = {**wanted, **wanted.get("narrow", {})}
    limit = ["--max-blocks", BUDGET] if wanted["outcome"] == "budget" else []
    done = command("run", f"program:{name}-{machine}", "--json", "--out", "run", "--trace", "exact", *limit)
    report = json.loads(done.out)
    outcome = report["outcome"]
    assert report["payload"]["machine"] == machine
    assert outcome["kind"] == wanted["outcome"]
    assert outcome["status"] == wanted.get("status")
    assert done.code == wanted["exit_code"]
    for text in wanted.get("console", ()):
        assert text in report["console"]
    assert "FAIL" not in report["console"]
    if "fault" in wanted:
        # Whether an access to memory that isn't there was a read or a write is not told by the CPU's state.
        words = FAULTS[wanted["fault"]]
        assert words in outcome["detail"] or (wanted["fault"] == "write" and "access to " in outcome["detail"])
    if "address" in wanted:
        assert f"{wanted['address']:#x}" in outcome["detail"]
    if "exit_data" in wanted:
        assert outcome["detail"].endswith(wanted["exit_data"])
    if "reset" in wanted:
        assert outcome["detail"].startswith(f"{wanted['reset']} reset")
    findings = {each["kind"]: each for each in report["findings"]}
    for key, kind in (("refused", "boot-service-after-exit"), ("replaced", "table-slot-replaced")):
        assert (kind in findings) == (key in wanted)
        if kind in findings:
            assert findings[kind]["first"].startswith(wanted[key])
    about_accesses = [each["kind"] for each in report["findings"] if each["kind"] in KINDS]
    assert about_accesses == wanted.get("findings", [])


def test_every_call_of_a_program_is_in_the_table(command, tmp_path):
    import pyarrow.parquet as pq

    report = json.loads(command("run", "program:images", "--json", "--out", "run").out)
    rows = pq.read_table(tmp_path / "run" / "calls.parquet").to_pylist()
    assert [row["seq"] for row in rows] == list(range(report["calls"]["count"]))
    starts = [row["seq"] for row in rows if row["service"] == "StartImage" and row["depth"] == 0]
    inside = [row for row in rows if row["parent"] in starts]
    # What the child does is inside its parent's StartImage, and is the child's own.
    assert {row["image"] for row in inside} >= {"child-3"} or any(row["image"].startswith("child") for row in inside)
    assert all(row["depth"] == 1 for row in inside)


def test_exact_sees_the_same_run_as_calls(command):
    plain = json.loads(command("run", "program:selftest", "--json", "--out", "a", "--trace", "calls").out)
    exact = json.loads(command("run", "program:selftest", "--json", "--out", "b", "--trace", "exact").out)
    assert exact["memory"] == plain["memory"]
    assert exact["calls"] == plain["calls"]
    assert exact["engine"]["blocks"] == plain["engine"]["blocks"]
    assert exact["accesses"]["count"] == exact["accesses"]["reads"] + exact["accesses"]["writes"] > 0
    assert len(exact["accesses"]["digest"]) == 64


def test_two_runs_are_equal_but_for_their_timing(command):
    first, second = (
        json.loads(command("run", "program:selftest", "--json", "--out", out, "--trace", "exact", "--seed", 7).out)
        for out in ("a", "b")
    )
    first.pop("timing"), second.pop("timing")
    assert first == second


def test_a_time_budget_ends_a_loop_and_says_that_it_is_the_hosts(command):
    done = command("run", "program:loop", "--json", "--out", "run", "--max-seconds", 0.2)
    report = json.loads(done.out)
    assert done.code == 5
    assert report["outcome"]["kind"] == "budget"
    assert report["engine"]["deterministic"] is False


def test_a_time_budget_ends_a_loop_of_calls(command):
    done = command("run", "program:call_loop", "--json", "--out", "run", "--max-seconds", 0.5)
    assert done.code == 5
    assert json.loads(done.out)["timing"]["wall_s"] < 10
