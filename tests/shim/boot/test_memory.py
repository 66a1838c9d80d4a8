"""The RAM that QEMU maps."""

from __future__ import annotations

import os

import pytest

from shim.boot.memory import SharedRam
from shim.errors import UnreadableError

LOW, HIGH = (0x1000, 0x4000), (1 << 32, (1 << 32) + 0x2000)


@pytest.fixture
def ram():
    with SharedRam((LOW, HIGH)) as made:
        yield made


def test_ranges_lie_behind_each_other_in_the_file(ram):
    ram.write(LOW[1] - 8, b"lowest!!")
    ram.write(HIGH[0], memoryview(b"higher!!"))
    assert os.pread(ram.file, 16, 0x2FF8) == b"lowest!!higher!!"
    assert ram.word(HIGH[0]) == int.from_bytes(b"higher!!", "little")


def test_what_others_wrote_is_gone_but_for_what_is_kept(ram):
    """QEMU puts things there before the guest begins."""
    os.pwrite(ram.file, b"x" * 0x5000, 0)
    page = memoryview(b"p" * 4096)
    ram.fill([(0x1000, page), (0x2000, page), (HIGH[0] + 0x1000, page)], (0x2000, 0x3000))
    assert os.pread(ram.file, 0x5000, 0) == b"".join(each * 4096 for each in (b"p", b"x", b"\0", b"\0", b"p"))


def test_more_pages_than_are_written_at_once():
    size = 1500 * 4096
    pages = [(at, memoryview(at.to_bytes(8, "little") * 512)) for at in range(0, size, 4096)]
    with SharedRam(((0, size),)) as ram:
        ram.fill(iter(pages), (0, 0))
        assert os.pread(ram.file, size, 0) == b"".join(page for _, page in pages)


@pytest.mark.parametrize("address", [0, 0xFFF, 0x4000, HIGH[1]])
def test_no_memory_there(ram, address):
    with pytest.raises(UnreadableError, match="no guest memory"):
        ram.write(address, b"x")
