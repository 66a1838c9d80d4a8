"""The TXT heap by the sizes and offsets of Intel's guide, and whatever else may lie there."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.slaunch.heap import Heap, HeapError, firmware_part, loader_part, page_tables, page_tables_bytes, read

HEAP = Heap(0x1000, 0x1100, 0x2000, 0x3000, 0x100, (0, 0x20_0000), (0x4000, 0x8000), (0xC000, 0x1400), 0x9000, 0xE0000)


class Bytes:
    def __init__(self, data):
        self.data = bytes(data)

    def read(self, address, size):
        return self.data[address : address + size].ljust(size, b"\0")


WHOLE = firmware_part(4) + loader_part(HEAP)


def test_what_is_written_is_read():
    assert read(Bytes(WHOLE), 0, 4096) == HEAP


def test_offsets():
    """By the structures of TrenchBoot's slaunch.h: BIOS data has 36 bytes, OS-MLE data 96, OS-SINIT data 92."""
    bios = 8 + 36 + 8
    assert struct.unpack_from("<QI", WHOLE) == (bios, 6)
    assert struct.unpack_from("<I", WHOLE, 8 + 24) == (4,)
    assert struct.unpack_from("<QIIQQII", WHOLE, bios) == (8 + 96, 1, 0x9000, 0x1000, 0x1100, 0xC000, 0x1400)
    sinit = bios + 8 + 96
    assert struct.unpack_from("<QII", WHOLE, sinit) == (8 + 92 + 28 + 8, 7, 0)
    assert struct.unpack_from("<QQQQQ", WHOLE, sinit + 16) == (0x2000, 0x3000, 0x100, 0, 0x20_0000)
    assert struct.unpack_from("<Q", WHOLE, sinit + 8 + 84) == (0xE0000,)
    assert struct.unpack_from("<IIQI", WHOLE, sinit + 8 + 92) == (8, 28, 0x4000, 0x8000)


@pytest.mark.parametrize(
    ("at", "says"),
    [(0, "its BIOS data"), (52, "its OS to MLE data"), (52 + 104, "its OS to SINIT data")],
)
@pytest.mark.parametrize("size", [0, 7, 1 << 63])
def test_a_size_that_makes_no_sense(at, says, size):
    data = WHOLE[:at] + struct.pack("<Q", size) + WHOLE[at + 8 :]
    with pytest.raises(HeapError, match=says):
        read(Bytes(data), 0, 4096)


@pytest.mark.parametrize("at", [8, 52 + 8, 52 + 104 + 8])
def test_other_versions(at):
    data = bytearray(WHOLE)
    data[at] = 99
    with pytest.raises(HeapError, match="99"):
        read(Bytes(data), 0, 4096)


def test_a_heap_that_nobody_has_filled():
    with pytest.raises(HeapError, match="OS to MLE data say that they have 0 bytes"):
        read(Bytes(firmware_part(1)), 0, 4096)


@given(st.binary(max_size=400), st.integers(0, 400))
def test_anything_is_read_or_refused(data, size):
    with suppress(HeapError):
        read(Bytes(data), 0, size)


@given(st.integers(0, 1 << 20), st.integers(1, 3 * 512 * 4096))
def test_page_tables_map_every_page(base, size):
    base *= 4096
    data = page_tables(base, size, 0x10_0000)
    assert len(data) == page_tables_bytes(size)

    def entries(at):
        return [each & ~1 for each in struct.unpack_from("<512Q", data, at - 0x10_0000) if each & 1]

    (directory,) = entries(0x10_0000)
    mapped = [page for table in entries(directory) for page in entries(table)]
    assert mapped == list(range(base, base + size, 4096))
