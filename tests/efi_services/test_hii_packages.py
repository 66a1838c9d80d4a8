import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.hii_packages import read_list, read_strings
from efi_services.status import EfiError, Status
from packages_of_strings import GUID, listed, package, strings


def test_a_list():
    data = listed(strings("en-US", "one", "two"), package(2, b"forms"), strings("fr", "un"))
    found = read_list(data + b"behind")
    assert found.guid == GUID
    assert [(each.language, each.texts) for each in found.strings] == [
        ("en-US", {1: "one", 2: "two"}), ("fr", {1: "un"}),
    ]  # fmt: skip
    assert found.pack() == data


def wide(*texts):
    return b"".join((each + "\0").encode("utf-16-le") for each in texts)


@pytest.mark.parametrize(
    ("block", "texts"),
    [
        (b"\x10one\0", {1: "one"}),
        (b"\x11\x05one\0", {1: "one"}),
        (b"\x12\x02\0one\0two\0", {1: "one", 2: "two"}),
        (b"\x13\x05\x02\0one\0two\0", {1: "one", 2: "two"}),
        (b"\x15\x05" + wide("one"), {1: "one"}),
        (b"\x16\x02\0" + wide("one", "two"), {1: "one", 2: "two"}),
        (b"\x17\x05\x02\0" + wide("one", "two"), {1: "one", 2: "two"}),
        (b"\x14" + wide("one") + b"\x20\x01\0", {1: "one", 2: "one"}),
        (b"\x20\x09\0", {1: ""}),
        (b"\x21\x00\x01\x10a\0", {257: "a"}),
        (b"\x22\x03\x10a\0", {4: "a"}),
        (b"\x30\x40\x05xx\x10a\0", {1: "a"}),
        (b"\x31\x40\x05\0x\x10a\0", {1: "a"}),
        (b"\x32\x40\x07\0\0\0x\x10a\0", {1: "a"}),
        (b"", {}),
    ],
)
def test_every_kind_of_block(block, texts):
    assert read_strings(strings("en", block)).texts == texts


@pytest.mark.parametrize(
    "block", [b"\x99", b"\x30\0\x02", b"\x14a", b"\x14a\0b", b"\x10abc", b"\x21\xff\xff\x10a\0\x10b\0", b"\x12\xff\xff"]
)
def test_blocks_that_are_none(block):
    data = strings("en", block)
    with pytest.raises(EfiError) as refused:
        # Without the block that ends all.
        read_strings(data[:-1])
    assert refused.value.status is Status.INVALID_PARAMETER


@pytest.mark.parametrize(
    "data",
    [
        b"",
        listed()[:-1],
        listed(b"\3\0\0\4"),
        GUID.bytes_le + struct.pack("<I", 20),
        GUID.bytes_le + struct.pack("<II", 24, 4 | 2 << 24),
        listed(package(2, b"x"))[:16] + struct.pack("<I", 1 << 20) + listed(package(2, b"x"))[20:],
    ],
)
def test_lists_that_are_none(data):
    with pytest.raises(EfiError) as refused:
        read_list(data)
    assert refused.value.status is Status.INVALID_PARAMETER


@given(st.binary(max_size=200), st.integers(0, 120), st.integers(0, 255))
def test_any_bytes_are_strings_or_refused(blocks, place, value):
    data = bytearray(listed(strings("en", "one", blocks)))
    data[place % len(data)] = value
    with suppress(EfiError):
        assert all(number > 0 for each in read_list(bytes(data)).strings for number in each.texts)
