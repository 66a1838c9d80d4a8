"""``handoff``: the state at a kernel's entry, decoded and judged."""

import json

import pytest

from shim.handoff.verdicts.verdict import FILE

JUMPS = "program:handoff_like"


@pytest.fixture
def run(command, tmp_path):
    """The folder of a program that jumps out of its image, as a stub does, with nothing for a kernel."""
    assert command("run", JUMPS, "--quiet", "--cmdline", "quiet", "--out", "run").code == 0
    return tmp_path / "run"


def test_a_state_is_decoded_and_judged(command, run):
    done = command("handoff", run)
    # It is no kernel's: nobody made boot_params.
    assert done.code == 1
    assert done.err.endswith("the hand-off breaks boot-params\n")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["cr0", "0x80010033", "PE,", "MP,", "ET,", "NE,", "WP,", "PG"] in lines
    assert ["0x38", "code", "64", "0x0", "0xffffffff"] in lines
    assert ["levels", "0x4"] in lines
    assert "failed          boot-params           RSI leads to no boot_params" in done.out
    assert "ok              interrupts-masked     IF is clear" in done.out


def test_for_machines(command, run):
    done = command("handoff", run, "--json")
    assert done.code == 1
    found = json.loads(done.out)
    assert found["state"] == json.loads((run / "handoff/state.json").read_text())
    assert found["verdicts"] == json.loads((run / FILE).read_text())
    assert {each["rule"]: each["outcome"] for each in found["verdicts"]}["boot-params"] == "failed"


def test_without_a_failed_verdict_all_is_well(command, run):
    kept = json.loads((run / FILE).read_text())
    (run / FILE).write_text(json.dumps([each for each in kept if each["outcome"] != "failed"]))
    assert command("handoff", run).code == 0


def test_origins_are_found_and_kept(command, run):
    done = command("handoff", run, "--origins")
    assert done.code == 1
    assert "GDT   0x" in done.out
    assert "nobody, it is as at power-on" in done.out
    # From now on they are there.
    assert command("handoff", run).out == done.out
    told = json.loads(command("handoff", run, "--json").out)["origins"]
    assert [(each["name"], [source["by"] for source in each["sources"]]) for each in told] == [("GDT", ["nobody"])]


def test_no_hand_off(command):
    assert command("run", "program:hello", "--quiet", "--out", "run").code == 0
    done = command("handoff", "run")
    assert done.code == 10
    assert "no kernel entry was reached" in done.err


@pytest.mark.parametrize("damage", ["{", "[1]", '[{"rule": "a"}]', "[" * 100_000])
def test_damaged_verdicts(command, run, damage):
    (run / FILE).write_text(damage)
    done = command("handoff", run)
    assert done.code == 10
    assert "verdicts.json: damaged" in done.err


@pytest.mark.parametrize("damage", ["{}", '{"registers": 1}', '{"registers": {"cr0": "x"}}'])
def test_a_damaged_state(command, run, damage):
    (run / "handoff/state.json").write_text(damage)
    done = command("handoff", run)
    assert done.code == 10
    assert "damaged" in done.err


def test_a_folder_of_before_there_were_verdicts(command, run):
    (run / FILE).unlink()
    done = command("handoff", run)
    assert done.code == 10
    assert "verdicts.json: No such file" in done.err
