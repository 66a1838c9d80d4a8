"""The kernel that a 32-bit Arm zImage carries, and where it lies once its decompressor has run.

Sources: arch/arm/boot/compressed/head.S and vmlinux.lds.S, of which the table with ZIMAGE_MAGICs tells all of it but
where the compressed kernel begins: there its form's own magic number stands, as it may stand elsewhere.
"""

from __future__ import annotations

import struct

from shim.handoff.decompress import UndecodableError, unpack
from shim.handoff.vmlinux import MOST_BYTES, Segment, Vmlinux

_MAGIC, _MAGIC_AT = 0x4545_4545, 0x34
_TABLE = struct.Struct("<6I")
_TAG = 0x5A53_4C4B
#: What the kernel's build compresses with, but for lzo; scripts/Makefile.lib.
_FORMS = {"gzip": b"\x1f\x8b\x08", "xz": b"\xfd7zXZ\0", "lzma": b"\x5d\0\0", "lz4": b"\x02!L\x18"}
#: Places where a magic number stands and no kernel begins: a decompressor has one or two.
_MOST_TRIES = 16


def read(data: bytes) -> Vmlinux:
    """Unpack the kernel in a zImage.

    Raises:
        UndecodableError: it has no table that tells of its kernel, or the kernel can't be unpacked.
    """
    if len(data) < _MAGIC_AT + 8 or struct.unpack_from("<I", data, _MAGIC_AT)[0] != _MAGIC:
        raise UndecodableError("its header leads to no table")
    (table,) = struct.unpack_from("<I", data, _MAGIC_AT + 4)
    if table > len(data) - _TABLE.size:
        raise UndecodableError("its table lies outside the file")
    _, tag, size_at, _, text_offset, _ = _TABLE.unpack_from(data, table)
    if tag != _TAG or size_at > len(data) - 4:
        raise UndecodableError("its table doesn't tell of the kernel")
    (size,) = struct.unpack_from("<I", data, size_at)
    if not 0 < size <= MOST_BYTES or text_offset > MOST_BYTES:
        raise UndecodableError(f"its kernel has {size:#x} bytes, {text_offset:#x} bytes into memory")
    kernel = memoryview(_unpacked(data[: size_at + 4], size))
    return Vmlinux(text_offset, (Segment(text_offset, kernel, size),), ())


def _unpacked(data: bytes, size: int) -> bytes:
    """What unpacks to *size* bytes, wherever it begins; it ends where *data* does."""
    for form, magic in _FORMS.items():
        at = data.find(magic)
        for _ in range(_MOST_TRIES):
            if at < 0:
                break
            try:
                made = unpack(data[at:], form, size)
            except UndecodableError:
                made = b""
            if len(made) == size:
                return made
            at = data.find(magic, at + 1)
    raise UndecodableError(f"nothing in it unpacks to the {size:#x} bytes that it tells of")
