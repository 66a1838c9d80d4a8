"""A run folder that can be gone on with, made of a program that jumps to a "kernel" which halts for ever."""

from __future__ import annotations

import pytest

JUMPS = "program:handoff_like"


@pytest.fixture
def run(command, tmp_path):
    """Makes one, for a machine; more words are the command's."""

    def make(machine="x86_64", *more):
        name = JUMPS if machine == "x86_64" else f"{JUMPS}-{machine}"
        assert command("run", name, "--trace", "calls", "--dump-ram", "--quiet", "--out", "run", *more).code == 0
        return tmp_path / "run"

    return make
