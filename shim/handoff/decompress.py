"""Unpacking what a kernel carries, on the host: a second opinion on what its stub has unpacked."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: lz4's legacy frame: a magic number, then blocks with their size before them, each but the last of so many bytes.
_LZ4_MAGIC, _LZ4_BLOCK = 4, 8 << 20
#: The kernel's build appends the size of the whole to forms that don't tell it (scripts/Makefile.lib, size_append).
_APPENDED = 4


class UndecodableError(ValueError):
    """It can't be unpacked here; one sentence says why."""


def unpack(data: bytes, form: str | None, most: int) -> bytes:
    """What *data* unpacks to.

    Raises:
        UndecodableError: the form is none that is read here, the data is damaged, or it is more than *most* bytes.
    """
    reader = _READERS.get(form or "")
    if reader is None:
        raise UndecodableError(f"compression {form or 'of an unknown form'} is not read here")
    try:
        made = reader(data, most)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError) as error:
        raise UndecodableError(f"its {form} data is damaged: {error}") from None
    if len(made) > most:
        raise UndecodableError(f"its {form} data unpacks to more than {most:#x} bytes")
    return made


def _gzip(data: bytes, most: int) -> bytes:
    return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, most + 1)


def _xz(data: bytes, most: int) -> bytes:
    return lzma.LZMADecompressor().decompress(data, most + 1)


def _bzip2(data: bytes, most: int) -> bytes:
    return bz2.BZ2Decompressor().decompress(data, most + 1)


def _zstd(data: bytes, most: int) -> bytes:
    import pyarrow as pa

    # A frame, and no frame behind it: there lies the size that the kernel's build appends.
    with pa.CompressedInputStream(pa.BufferReader(data[:-_APPENDED]), "zstd") as stream:
        made: bytes = stream.read(most + 1)
        return made


def _lz4(data: bytes, most: int) -> bytes:
    import pyarrow as pa

    # The last block's size is not told by the frame: the kernel's build appends the whole's.
    total = int.from_bytes(data[-_APPENDED:], "little")
    if total > most:
        raise UndecodableError(f"its lz4 data says that it unpacks to {total:#x} bytes, more than {most:#x}")
    codec, at, made = pa.Codec("lz4_raw"), _LZ4_MAGIC, bytearray()
    while len(made) < total and at + 4 <= len(data) - _APPENDED:
        size = int.from_bytes(data[at : at + 4], "little")
        block = data[at + 4 : at + 4 + size]
        made += codec.decompress(block, min(_LZ4_BLOCK, total - len(made)), asbytes=True)
        at += 4 + size
    return bytes(made)


def _none(data: bytes, most: int) -> bytes:
    return data[: most + 1]


_READERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip, "xz": _xz, "lzma": _xz, "bzip2": _bzip2, "zstd": _zstd, "lz4": _lz4, "none": _none,
}  # fmt: skip
