"""A kernel of Debian's boots from its hand-off to user space; `make boot` does more of them."""

from __future__ import annotations

import pytest

import guests


@pytest.mark.kernel
def test_a_kernel_boots_and_finds_what_the_run_says(kernel, tmp_path, need):
    need("qemu-system-x86_64")
    name = "debian:trixie/cloud-amd64"
    kernel(name)
    found = list(guests.boot(name, tmp_path))
    assert [each for each in found if not each.equal] == []
    assert len(found) == 7
