"""zboot images (drivers/firmware/efi/libstub/zboot-header.S), of a program that unpacks and what it is to unpack."""

from __future__ import annotations

import gzip
import struct

from ukis import extend


def zboot(program: bytes, inner: bytes) -> bytes:
    """*program* with *inner* in a section, and with the header that tells of it."""
    packed = gzip.compress(inner, compresslevel=6, mtime=0)
    file = bytearray(extend(program, [(".gzdata", packed)]))
    struct.pack_into("<4sII8s32s", file, 4, b"zimg", file.rindex(packed), len(packed), bytes(8), b"gzip")
    return bytes(file)
