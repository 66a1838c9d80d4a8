"""Kernels in images that unpack themselves; the others are judged in hand-offs."""

import gzip
import re
import struct

import pytest

from handoffs import payload
from payloads import catalogue
from payloads.model import Kind, Machine, ZbootHeader
from shim.handoff.kernel_image import find

PROGRAM = catalogue.program("program:hello-aarch64").read_bytes()
#: The same with an arm64 Image's header over what PE doesn't look at: it branches to 0x1000.
IMAGE = PROGRAM[:4] + struct.pack("<IQQQ", 0x1400_03FF, 0, 0x20000, 10) + bytes(0x18) + b"ARM\x64" + PROGRAM[0x3C:]


def zboot(data, name="gzip"):
    header = ZbootHeader(0x1000, len(data), name)
    return payload(bytes(0x1000) + data, Kind.LINUX_ZBOOT, Machine.AARCH64, header)


def test_the_image_within_is_the_kernel():
    found = find(zboot(gzip.compress(IMAGE)), 0x4400_1000)
    assert found.known, found.why
    assert (found.base, found.size, found.alignment) == (0x4400_0000, 0x20000, 64 << 10)
    assert found.image.data == IMAGE
    assert found.extent == (0x4400_0000, 0x20000)


@pytest.mark.parametrize(
    ("kernel", "why"),
    [
        (zboot(gzip.compress(IMAGE)[:-20]), "begins as|truncated|lies outside|can't be read"),
        (zboot(b"nothing"), "damaged"),
        (zboot(gzip.compress(IMAGE), "lzo"), "lzo is not read here"),
        (zboot(gzip.compress(b"MZ")), "truncated"),
        (zboot(gzip.compress(PROGRAM)), "of a file of kind efi-application"),
        (None, "not known"),
    ],
)
def test_what_can_not_be_read_is_not_known(kernel, why):
    found = find(kernel, 0x4400_1000)
    assert not found.known
    assert re.search(why, found.why), found.why
