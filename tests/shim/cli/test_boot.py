"""``boot``: a run gone on with, and every way in which it can't be."""

from __future__ import annotations

import json

import pytest

JUMPS = "program:handoff_like"


@pytest.fixture
def run(command, tmp_path):
    """The folder of a program that jumps out of its image with nothing for a kernel, which then halts."""
    made = command("run", JUMPS, "--trace", "calls", "--dump-ram", "--quiet", "--out", "run")
    assert made.code == 0
    return tmp_path / "run"


def test_a_hand_off_that_breaks_a_rule_is_not_booted(command, run):
    done = command("boot", run)
    assert done.code == 1
    assert "breaks boot-params: RSI leads to no boot_params" in done.err
    assert done.err.endswith("(--force boots it all the same)\n")


def test_unless_forced_until_its_time_is_up(command, run, need):
    need("qemu-system-x86_64")
    done = command("boot", run, "--force", "--max-seconds", "2")
    assert (done.code, done.out) == (5, "")
    assert done.err == "The guest was ended: it ran for 2 seconds.\n"


def test_without_qemu(command, run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = command("boot", run, "--force")
    assert done.code == 12
    assert "install qemu-system-x86" in done.err


def test_an_old_qemu(command, run, monkeypatch, tmp_path):
    file = tmp_path / "qemu-system-x86_64"
    file.write_text("#!/bin/sh\necho QEMU emulator version 6.2.0\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    done = command("boot", run, "--force")
    assert done.code == 12
    assert "is of version 6.2: install qemu-system-x86, version 7.2 or later" in done.err


@pytest.mark.parametrize("at", [0.05, 0.5])
def test_ram_that_is_damaged(command, run, need, at):
    need("qemu-system-x86_64")
    path = run / "handoff/ram.parquet"
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 0x55
    path.write_bytes(data)
    done = command("boot", run, "--force", "--max-seconds", "5")
    assert (done.code, done.out) == (10, "")
    assert done.err.startswith("efi-shim: ")
    assert done.err.count("\n") == 1
    assert "ram.parquet: " in done.err


@pytest.mark.parametrize("words", [("run", "program:hello"), ("run", JUMPS)])
def test_nothing_to_go_on_from(command, words):
    assert command(*words, "--quiet", "--trace", "calls", "--out", "run").code == 0
    done = command("boot", "run", "--force")
    assert done.code == 10
    assert "no kernel entry was reached" in done.err or "--dump-ram" in done.err


def test_a_run_of_another_version(command, run):
    report = json.loads((run / "run.json").read_text())
    report["schema"] = "efi-shim/run/9"
    (run / "run.json").write_text(json.dumps(report))
    done = command("boot", run)
    assert done.code == 10
    assert "of schema efi-shim/run/9" in done.err


def test_a_platform_that_no_machine_is_like(command):
    made = ("run", JUMPS, "--platform", "bare-x86_64", "--trace", "calls", "--dump-ram", "--quiet", "--out", "run")
    assert command(*made).code == 0
    done = command("boot", "run", "--force")
    assert done.code == 11
    assert "no machine of QEMU's has its RAM there" in done.err
