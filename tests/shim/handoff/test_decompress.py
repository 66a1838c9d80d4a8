"""Every form a kernel may be packed in, whole, damaged, and too large."""

import bz2
import gzip
import hashlib
import lzma
import struct
import zlib
from contextlib import suppress

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lzallright import LZOCompressor

from shim.handoff.decompress import UndecodableError, unpack

PLAIN = bytes(range(256)) * 100
BLOCK = 8 << 20
LZO_BLOCK = 256 << 10


def size(data):
    return len(data).to_bytes(4, "little")


def lz4(data):
    parts = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    packed = [pa.Codec("lz4_raw").compress(each, asbytes=True) for each in parts]
    return b"\x02!L\x18" + b"".join(size(each) + each for each in packed) + size(data)


def lzo(data):
    """As lzop does with -9 (0x940 and later): what does not get smaller is stored, without a second checksum."""
    parts = [data[at : at + LZO_BLOCK] for at in range(0, len(data), LZO_BLOCK)]
    header = struct.pack(">HHHBBIIIIB", 0x1040, 0x20A0, 0x0940, 3, 9, 0x0300_0003, 0, 0, 0, 0)
    made = b"\x89LZO\0\r\n\x1a\n" + header + struct.pack(">I", zlib.adler32(header))
    for part in parts:
        packed = LZOCompressor().compress(part)
        if len(packed) >= len(part):
            made += struct.pack(">III", len(part), len(part), zlib.adler32(part)) + part
        else:
            sums = struct.pack(">II", zlib.adler32(part), zlib.adler32(packed))
            made += struct.pack(">II", len(part), len(packed)) + sums + packed
    return made + bytes(4) + size(data)


PACKED = {
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32) + size(data),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE) + size(data),
    "bzip2": lambda data: bz2.compress(data) + size(data),
    "zstd": lambda data: pa.Codec("zstd").compress(data, asbytes=True) + size(data),
    "lz4": lz4,
    "lzo": lzo,
    "none": bytes,
}


@pytest.mark.parametrize("form", PACKED)
def test_what_was_packed_is_unpacked(form):
    assert unpack(PACKED[form](PLAIN), form, len(PLAIN)) == PLAIN


def test_lz4_of_several_blocks():
    data = PLAIN * 400
    assert len(data) > BLOCK
    assert unpack(lz4(data), "lz4", len(data)) == data


def test_lzo_of_several_blocks_one_of_them_stored():
    data = PLAIN * 20 + hashlib.shake_128(b"noise").digest(LZO_BLOCK) + PLAIN
    assert unpack(lzo(data), "lzo", len(data)) == data


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (38, b"\x7f\xff\xff\xff"),  # a block of 2 GiB
        (42, b"\0\1\0\0"),  # more packed than unpacked
        (42, b"\0\0\0\0"),
        (38, b"\0\0\0\x20"),  # more in it than it says
        (33, b"\xff"),  # a name as long as can be
    ],
)
def test_lzo_whose_sizes_lie(at, value):
    packed = bytearray(lzo(PLAIN))
    assert packed[38:42] == len(PLAIN).to_bytes(4, "big")
    packed[at : at + len(value)] = value
    with pytest.raises(UndecodableError, match="its lzo data is damaged"):
        unpack(bytes(packed), "lzo", 1 << 30)


@pytest.mark.parametrize("form", PACKED)
def test_more_than_there_is_room_for(form):
    with pytest.raises(UndecodableError, match="more than 0x63ff"):
        unpack(PACKED[form](PLAIN), form, len(PLAIN) - 1)


@pytest.mark.parametrize("form", sorted(set(PACKED) - {"none"}))
def test_damaged_data(form):
    with pytest.raises(UndecodableError, match=f"its {form} data is damaged"):
        unpack(b"\x55" * 40 + b"\xff\0\0\0", form, 1 << 20)


@pytest.mark.parametrize("form", ["lz5", None])
def test_forms_that_are_not_read(form):
    with pytest.raises(UndecodableError, match="is not read here"):
        unpack(PLAIN, form, 1 << 20)


@given(st.sampled_from(sorted(PACKED)), st.binary(max_size=200), st.integers(0, 60), st.binary(max_size=20))
@settings(deadline=None, max_examples=150, database=None)
def test_any_bytes(form, data, keep, changed):
    packed = bytearray(PACKED[form](data))
    packed[keep : keep + len(changed)] = changed
    with suppress(UndecodableError):
        assert len(unpack(bytes(packed), form, 4096)) <= 4096
