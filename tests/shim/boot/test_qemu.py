"""Going on in QEMU, with programs that play a kernel; real ones are in test_kernels."""

from __future__ import annotations

import shutil

import pytest

from shim.boot import qemu
from shim.boot.given import given
from shim.errors import NotRunnableError, UnreadableError
from shim.trace.folder import open_run


@pytest.fixture
def go_on(run):
    """Goes on for a moment with such a run, and gives what came of it, and what the guest wrote."""

    def boot(folder, max_seconds=3.0):
        found, said = open_run(folder), bytearray()
        return qemu.boot(given(found), found.report.memory.digest, max_seconds, said.extend), bytes(said)

    return boot


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_guest_that_hangs_is_ended(go_on, run, need, machine):
    need(f"qemu-system-{machine}")
    assert go_on(run(machine)) == (False, b"")


def test_a_time_that_is_too_short_to_begin(go_on, run, need):
    need("qemu-system-x86_64")
    assert go_on(run(), 0.001) == (False, b"")


def test_the_ram_of_another_run(go_on, run, command, tmp_path, need):
    need("qemu-system-x86_64")
    folder = run()
    line = ("--cmdline", "another", "--trace", "calls", "--dump-ram", "--quiet", "--out", "other")
    assert command("run", "program:handoff_like", *line).code == 0
    shutil.copy(tmp_path / "other/handoff/ram.parquet", folder / "handoff/ram.parquet")
    with pytest.raises(UnreadableError, match="not the RAM that"):
        go_on(folder)


def test_qemu_says_why_it_refuses(go_on, run, tmp_path, monkeypatch):
    folder = run()
    file = tmp_path / "qemu-system-x86_64"
    file.write_text('#!/bin/sh\n[ "$1" = --version ] && echo version 9.0 && exit\necho "why: not" >&2; exit 1\n')
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(NotRunnableError, match="QEMU ended with status 1: why: not"):
        go_on(folder)
