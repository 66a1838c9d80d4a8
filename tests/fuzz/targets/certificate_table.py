"""The certificate table of an image."""

import struct

from loading import borrow

from payloads.certificates import signed_data
from payloads.errors import NotRunnable

ERRORS = (NotRunnable,)
MAX_LENGTH = 4096


def _image():
    build = borrow("tests/payloads/conftest.py").Builder
    plain = build.Pe().build()
    return plain, build.signed(plain, bytes(32)).index(struct.pack("<I", len(plain)))


PLAIN, DIRECTORY = _image()


def seeds():
    one = struct.pack("<IHH", 16, 0x200, 2) + b"8 bytes."
    return {"one": one, "two": one + one, "guid": struct.pack("<IHH", 32, 0x200, 0xEF1) + bytes(24)}


def target(data):
    told = struct.pack("<II", len(PLAIN), len(data))
    found = signed_data(PLAIN[:DIRECTORY] + told + PLAIN[DIRECTORY + 8 :] + data)
    assert (found is None) == (not data)
    assert sum(map(len, found or ())) <= len(data)
