"""Kernels' stubs in user mode: what they need privileges for, and that nothing else changes."""

from __future__ import annotations

import json

import pytest

#: Of each kernel, the kinds of privileged instructions in its stub, and how often each is executed.
KERNELS = {
    "debian:bookworm/cloud-amd64": {"mov from cr0": 1, "mov from cr3": 1, "mov from cr4": 1},
    "debian:trixie/riscv64": {"write of satp": 1},
}


@pytest.mark.kernel
@pytest.mark.parametrize("name", KERNELS)
def test_the_hand_off_is_the_same(name, kernel, command, tmp_path):
    kernel(name)
    found = []
    for options in ([], ["--unprivileged"]):
        folder = f"run{len(options)}"
        done = command("run", name, "--trace", "calls", "--json", "--out", folder, *options)
        assert done.code == 0, done.err
        report = json.loads(done.out)
        state = json.loads((tmp_path / folder / "handoff" / "state.json").read_text())
        calls = command("query", folder, "SELECT * FROM calls ORDER BY seq", "--format", "csv").out
        # The instruction after one that trapped begins a block.
        same = [{**each, "entered_from": None} for each in (report["handoff"], state)]
        found.append((same, report["memory"], report["findings"], report["calls"], calls))
    assert found[0] == found[1]
    assert report["outcome"]["kind"] == "kernel-entry"
    assert report["privileged"] == {"count": sum(KERNELS[name].values()), "by_name": KERNELS[name]}
    shown = command("show", "run1", "privileged")
    assert shown.code == 0
    assert shown.out.count("payload") == len(KERNELS[name])


def test_a_program_that_needs_no_privilege(command):
    done = command("run", "program:hello", "--unprivileged", "--trace", "exact", "--json", "--out", "run")
    assert done.code == 0
    report = json.loads(done.out)
    assert report["privileged"] == {"count": 0, "by_name": {}}
    with_privileges = command("run", "program:hello", "--trace", "exact", "--json", "--out", "other")
    digests = [each["accesses"]["digest"] for each in (report, json.loads(with_privileges.out))]
    assert digests[0] == digests[1] is not None
    assert "without any privilege" in command("show", "run", "privileged").out
    assert command("replay", "run").code == 0


@pytest.mark.parametrize("name", ["handoff_like", "read_wild", "use_after_free", "write_code"])
def test_small_programs_of_aarch64(name, command):
    """What ends a run with privileges ends it without. Kernels take a minute: `make unprivileged` runs them."""
    found = []
    for options in ([], ["--unprivileged"]):
        program = ("--platform", "virt-arm64", f"program:{name}-aarch64", "--trace", "exact")
        report = json.loads(command("run", *program, "--json", "--out", f"run{len(options)}", *options).out)
        found.append([{**report[each], "entered_from": None} for each in ("handoff", "memory", "calls", "outcome")])
        found[-1].append(report["accesses"]["digest"])
    assert found[0] == found[1]


def test_el2_is_refused(command):
    done = command("run", "program:hello-aarch64", "--platform", "virt-arm64-el2", "--unprivileged", "--out", "run")
    assert done.code == 11
    assert "EL2" in done.err


def test_what_ran_with_privileges_can_not_be_asked(command):
    assert command("run", "program:hello", "--trace", "calls", "--out", "run").code == 0
    done = command("show", "run", "privileged")
    assert done.code == 10
    assert "use run --unprivileged" in done.err
    assert command("query", "run", "SELECT count(*) FROM privileged").code == 0


@pytest.mark.parametrize("platform", ["q35-ia32", "virt-arm"])
def test_where_there_is_no_user_mode(platform, command, tmp_path):
    """Refused before anything runs, in a line."""
    from shim.config.platform import load_platform

    machine = load_platform(platform).machine
    program = {"i386": "program:hello-i386", "arm": "program:hello-arm"}[machine]
    done = command("run", program, "--platform", platform, "--unprivileged", "--out", "run")
    assert done.code == 11
    assert f"not for {machine}" in done.err
