"""What a screen showed, as a PNG file (ISO/IEC 15948)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from shim.errors import UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

    from efi_services.framebuffer import Picture

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TRUECOLOUR = bytes((8, 2, 0, 0, 0))


def to_png(picture: Picture) -> bytes:
    """The picture in 24-bit colour."""
    screen = picture.resolution
    colours = bytearray(screen.width * screen.height * 3)
    for place, channel in enumerate((2, 1, 0)):
        colours[place::3] = picture.pixels[channel::4]
    row = screen.width * 3
    # Each row begins with the number of its filter: none.
    rows = b"".join(b"\0" + colours[at : at + row] for at in range(0, len(colours), row))
    header = screen.width.to_bytes(4, "big") + screen.height.to_bytes(4, "big") + _TRUECOLOUR
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def write_png(path: Path, picture: Picture) -> None:
    """Write the picture to a file; raises UnreadableError."""
    try:
        path.write_bytes(to_png(picture))
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
