"""zboot images (drivers/firmware/efi/libstub/zboot-header.S), of a program that unpacks and what it is to unpack."""

from __future__ import annotations

import struct
import zlib

from ukis import extend

#: What is really compressed of a large file: unpacking all of it in an emulated CPU takes ten seconds.
_COMPRESSED = 2 << 20


def zboot(program: bytes, inner: bytes) -> bytes:
    """*program* with *inner* in a section, and with the header that tells of it."""
    packed = _gzip(inner)
    file = bytearray(extend(program, [(".gzdata", packed)]))
    struct.pack_into("<4sII8s32s", file, 4, b"zimg", file.rindex(packed), len(packed), bytes(8), b"gzip")
    return bytes(file)


def _gzip(data: bytes) -> bytes:
    """As gzip reads it; behind the start it is stored in pieces."""
    parts = [bytes.fromhex("1f8b0800000000000003")]
    for level, part, mode in ((6, data[:_COMPRESSED], zlib.Z_FULL_FLUSH), (0, data[_COMPRESSED:], zlib.Z_FINISH)):
        packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        parts += [packer.compress(part), packer.flush(mode)]
    return b"".join([*parts, struct.pack("<II", zlib.crc32(data), len(data))])
