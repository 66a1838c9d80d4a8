import struct
import zlib

import pytest

from efi_services.framebuffer import Picture, Resolution
from shim.errors import UnreadableError
from shim.report.screenshot import to_png, write_png

#: Two rows of three pixels; the fourth byte of each means nothing.
PIXELS = bytes.fromhex("0000ff00 00ff0011 ff000022  ffffffff 00000000 10203044")
PICTURE = Picture(Resolution(3, 2), PIXELS)


def chunks(data):
    """What a reader of PNG makes of a file: the chunks, whose sums have to be right."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, []
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + size]
        assert zlib.crc32(body) == int.from_bytes(data[at + 8 + size : at + 12 + size], "big")
        found.append((body[:4], body[4:]))
        at += 12 + size
    return found


def test_a_picture():
    header, image, end = chunks(to_png(PICTURE))
    assert header == (b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0))
    assert end == (b"IEND", b"")
    assert image[0] == b"IDAT"
    # Each row: no filter, then red, green and blue of each pixel.
    assert zlib.decompress(image[1]).hex(" ") == ("00 ff 00 00 00 ff 00 00 00 ff 00 ff ff ff 00 00 00 30 20 10")


def test_a_file(tmp_path):
    write_png(tmp_path / "a.png", PICTURE)
    assert (tmp_path / "a.png").read_bytes() == to_png(PICTURE)
    with pytest.raises(UnreadableError, match="nowhere"):
        write_png(tmp_path / "nowhere" / "a.png", PICTURE)
