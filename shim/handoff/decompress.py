"""Unpacking what a kernel carries, on the host: a second opinion on what its stub has unpacked."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: lz4's legacy frame: a magic number, then blocks with their size before them, each but the last of so many bytes.
_LZ4_MAGIC, _LZ4_BLOCK = 4, 8 << 20
#: lzop's file (lib/decompress_unlzo.c): a magic number, and blocks of at most so many bytes.
_LZO_MAGIC, _LZO_BLOCK = b"\x89LZO\0\r\n\x1a\n", 256 << 10
_LZO_ADLER32_D, _LZO_ADLER32_C, _LZO_EXTRA, _LZO_CRC32_D, _LZO_CRC32_C, _LZO_FILTER = 1, 2, 0x40, 0x100, 0x200, 0x800
#: The kernel's build appends the size of the whole to forms that don't tell it (scripts/Makefile.lib, size_append).
APPENDED = 4


class UndecodableError(ValueError):
    """It can't be unpacked here; one sentence says why."""


class DamagedError(UndecodableError):
    """It is not what its form says, so whoever unpacks it should notice."""


def unpack(data: bytes, form: str | None, most: int) -> bytes:
    """What *data* unpacks to.

    Raises:
        DamagedError: the data is not of this form, ends too early, or is not what its checksum tells.
        UndecodableError: the form is none that is read here, or it is more than *most* bytes.
    """
    reader = _READERS.get(form or "")
    if reader is None:
        raise UndecodableError(f"compression {form or 'of an unknown form'} is not read here")
    try:
        made = reader(data, most)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError) as error:
        raise DamagedError(f"its {form} data is damaged: {error}") from None
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
    with pa.CompressedInputStream(pa.BufferReader(data[:-APPENDED]), "zstd") as stream:
        made: bytes = stream.read(most + 1)
        return made


def _lz4(data: bytes, most: int) -> bytes:
    import pyarrow as pa

    # The last block's size is not told by the frame: the kernel's build appends the whole's.
    total = int.from_bytes(data[-APPENDED:], "little")
    if total > most:
        raise UndecodableError(f"its lz4 data says that it unpacks to {total:#x} bytes, more than {most:#x}")
    codec, at, made = pa.Codec("lz4_raw"), _LZ4_MAGIC, bytearray()
    while len(made) < total and at + 4 <= len(data) - APPENDED:
        size = int.from_bytes(data[at : at + 4], "little")
        block = data[at + 4 : at + 4 + size]
        made += codec.decompress(block, min(_LZ4_BLOCK, total - len(made)), asbytes=True)
        at += 4 + size
    return bytes(made)


def _lzo(data: bytes, most: int) -> bytes:
    from lzallright import LZOCompressor, LZOError

    source, made = io.BytesIO(data[:-APPENDED]), bytearray()
    flags = _lzo_flags(source)
    while len(made) <= most and (size := _number(source)):
        packed = _number(source)
        if not 0 < packed <= size <= _LZO_BLOCK:
            raise ValueError(f"a block of {packed:#x} bytes for {size:#x}")
        sums = bool(flags & _LZO_ADLER32_D) + bool(flags & _LZO_CRC32_D)
        if packed < size:
            sums += bool(flags & _LZO_ADLER32_C) + bool(flags & _LZO_CRC32_C)
        _take(source, 4 * sums)
        block = _take(source, packed)
        if packed < size:
            try:
                block = LZOCompressor.decompress(block, size)
            except LZOError as why:
                raise ValueError(why) from None
        if len(block) != size:
            raise ValueError(f"a block of {len(block):#x} bytes says that it has {size:#x}")
        made += block
    return bytes(made)


def _lzo_flags(source: io.BytesIO) -> int:
    """Read lzop's header, up to the first block."""
    if _take(source, len(_LZO_MAGIC)) != _LZO_MAGIC:
        raise ValueError("it does not begin as lzop's files do")
    recent = _number(source, 2) >= 0x0940
    # The library's version; the version that is needed, and method; level.
    _take(source, 2 + 2 * recent + 1 + recent)
    flags = _number(source)
    # A filter; mode, and time in one or two parts; a name; a checksum.
    _take(source, 4 * bool(flags & _LZO_FILTER) + 8 + 4 * recent)
    _take(source, _number(source, 1) + 4)
    if flags & _LZO_EXTRA:
        _take(source, _number(source) + 4)
    return flags


def _number(source: io.BytesIO, size: int = 4) -> int:
    """The next big-endian number."""
    return int.from_bytes(_take(source, size), "big")


def _take(source: io.BytesIO, size: int) -> bytes:
    found = source.read(size)
    if len(found) < size:
        raise EOFError("it ends too early")
    return found


def _none(data: bytes, most: int) -> bytes:
    return data[: most + 1]


_READERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip, "xz": _xz, "lzma": _xz, "bzip2": _bzip2, "zstd": _zstd, "lz4": _lz4, "lzo": _lzo, "none": _none,
}  # fmt: skip
