"""Lists of setup_data, good ones and rings."""

import struct

import pytest

from shim.handoff.setup_data import Link, links
from shim.machine.ram import Ram


@pytest.fixture
def ram():
    return Ram(((0x1000, 0x3000),))


def test_a_list(ram):
    ram.write(0x1000, struct.pack("<QII", 0x2000, 9, 32))
    ram.write(0x2000, struct.pack("<QIIIIQQ", 0, 1 << 31, 24, 8, 0, 4096, 0x9000))
    assert list(links(0x1000, ram.view)) == [
        Link(0x1000, 9, 32, 0x2000),
        Link(0x2000, 1 << 31, 24, 0, (0x9000, 4096)),
    ]
    assert next(links(0x1000, ram.view)).content == 0x1010


def test_no_list(ram):
    assert list(links(0, ram.view)) == []
    assert list(links(0x2FF8, ram.view)) == []


def test_a_ring_ends(ram):
    ram.write(0x1000, struct.pack("<QII", 0x1000, 1, 0))
    assert [each.following for each in links(0x1000, ram.view)] == [0x1000]


def test_a_list_that_leads_out_of_memory(ram):
    ram.write(0x1000, struct.pack("<QII", 0x9000, 1, 0))
    assert [each.following for each in links(0x1000, ram.view)] == [0x9000]
