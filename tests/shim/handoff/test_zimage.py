"""The kernel in a zImage, and files that lie about it."""

import struct

import pytest

from handoffs import TEXT_OFFSET, contents, zimage
from shim.handoff import zimage as reader
from shim.handoff.decompress import UndecodableError

GOOD = zimage().data


def changed(at, *words):
    return GOOD[:at] + struct.pack(f"<{len(words)}I", *words) + GOOD[at + 4 * len(words) :]


def test_the_kernel_is_found_behind_what_looks_like_it():
    kernel = reader.read(GOOD)
    assert kernel.entry == TEXT_OFFSET
    (segment,) = kernel.segments
    assert (segment.offset, bytes(segment.data)) == (TEXT_OFFSET, bytes(contents()))
    assert kernel.difference(memoryview(bytes(TEXT_OFFSET) + bytes(contents()))) is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no table"),
        (GOOD[:0x3B], "no table"),
        (changed(0x34, 0), "no table"),
        (changed(0x38, len(GOOD) - 23), "outside the file"),
        (changed(0x38, 0xFFFF_FFFF), "outside the file"),
        (changed(0x44, 0), "doesn't tell"),
        (changed(0x48, len(GOOD) - 3), "doesn't tell"),
        (changed(0x48, 0), "bytes into memory"),  # there a zero stands
        (changed(0x50, 0xFFFF_8000), "bytes into memory"),
        (GOOD[:-4] + struct.pack("<I", len(contents()) + 1), "nothing in it unpacks"),
        (GOOD[:-4] + struct.pack("<I", 1), "nothing in it unpacks"),
        (changed(len(GOOD) - 100, 0, 0), "nothing in it unpacks"),
    ],
)
def test_a_file_that_lies_is_refused(data, why):
    with pytest.raises(UndecodableError, match=why):
        reader.read(data)


def test_a_file_full_of_magic_numbers_takes_no_time():
    table = struct.pack("<6I", 6, 0x5A53_4C4B, 1 << 20, 0, 0, 0)
    data = (
        bytes(0x34) + struct.pack("<3I", 0x4545_4545, 0x40, 0) + table + b"\x1f\x8b\x08\0" * (1 << 18) + b"\0\0\0\x01"
    )
    with pytest.raises(UndecodableError):
        reader.read(data)
