"""HII package lists, put together from their definition in UEFI 2.10, section 33.3."""

from __future__ import annotations

import struct
import uuid

GUID = uuid.UUID("6f4fb6bb-8b1c-4d3a-9a3c-5a3e6a0b2d11")


def package(kind, body):
    return struct.pack("<I", 4 + len(body) | kind << 24) + body


def strings(language, *blocks):
    """A string package of these blocks; a text is a block of its own."""
    name = language.encode() + b"\0"
    offset = 46 + len(name)
    header = struct.pack("<II32xH", offset, offset, 1) + name
    data = b"".join(b"\x14" + (each + "\0").encode("utf-16-le") if isinstance(each, str) else each for each in blocks)
    return package(4, header + data + b"\0")


def listed(*packages, guid=GUID):
    body = b"".join(packages) + package(0xDF, b"")
    return guid.bytes_le + struct.pack("<I", 20 + len(body)) + body
