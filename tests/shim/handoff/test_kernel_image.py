"""Kernels in images that unpack themselves; the others are judged in hand-offs."""

import gzip
import lzma
import re
import struct

import pyarrow as pa
import pytest

from handoffs import payload
from payloads import catalogue
from payloads.model import Kind, Machine, ZbootHeader
from shim.handoff.kernel_image import find

PROGRAM = catalogue.program("program:hello-aarch64").read_bytes()
#: The same with an arm64 Image's header over what PE doesn't look at: it branches to 0x1000.
IMAGE = PROGRAM[:4] + struct.pack("<IQQQ", 0x1400_03FF, 0, 0x20000, 10) + bytes(0x18) + b"ARM\x64" + PROGRAM[0x3C:]


LZ4 = pa.Codec("lz4_raw").compress(IMAGE, asbytes=True)


def size(data):
    return len(data).to_bytes(4, "little")


def zboot(data, name="gzip", behind=b""):
    header = ZbootHeader(0x1000, len(data), name)
    return payload(bytes(0x1000) + data + behind, Kind.LINUX_ZBOOT, Machine.AARCH64, header)


#: As the kernel's build packs it, the size of the whole behind what the header tells of, but with gzip.
PACKED = {
    "gzip": gzip.compress(IMAGE),
    "xzkern": lzma.compress(IMAGE, check=lzma.CHECK_CRC32),
    "lzma": lzma.compress(IMAGE, lzma.FORMAT_ALONE),
    "zstd22": pa.Codec("zstd").compress(IMAGE, asbytes=True),
    "zstd": pa.Codec("zstd").compress(IMAGE, asbytes=True),
    "lz4": b"\x02!L\x18" + size(LZ4) + LZ4,
}


@pytest.mark.parametrize("name", PACKED)
def test_the_image_within_is_the_kernel_and_is_entered_at_its_header(name):
    found = find(zboot(PACKED[name], name, b"" if name == "gzip" else size(IMAGE)), 0x4400_0000)
    assert found.known, found.why
    assert (found.base, found.size, found.alignment) == (0x4400_0000, 0x20000, 64 << 10)
    assert found.image.data == IMAGE
    assert found.extent == (0x4400_0000, 0x20000)


@pytest.mark.parametrize(
    ("kernel", "why"),
    [
        (zboot(gzip.compress(IMAGE)[:-20]), "begins as|truncated|lies outside|can't be read"),
        (zboot(b"nothing"), "damaged"),
        (zboot(gzip.compress(IMAGE), "lzo"), "its lzo data is damaged"),
        (zboot(PACKED["zstd"], "zstd"), "its zstd data is damaged"),
        (zboot(gzip.compress(b"MZ")), "truncated"),
        (zboot(gzip.compress(PROGRAM)), "of a file of kind efi-application"),
        (None, "not known"),
    ],
)
def test_what_can_not_be_read_is_not_known(kernel, why):
    found = find(kernel, 0x4400_1000)
    assert not found.known
    assert re.search(why, found.why), found.why
    assert found.damaged is ("damaged" in found.why)


def test_what_a_zboot_image_has_started_is_held_against_what_it_has_packed():
    """It may have started something else. What it starts is entered where its own header says."""
    carrier, other = zboot(gzip.compress(IMAGE)), payload(PROGRAM, Kind.EFI_APPLICATION, Machine.AARCH64, None)
    found = find(other, 0x4400_1000, carrier)
    assert (found.base, found.image.data) == (0x4400_0000, IMAGE)
    assert not find(other, 0x4400_1000, other).known
