"""Unified kernel images: any contents of their sections, SBAT among them, are told, measured and named."""

import struct

from loading import borrow

from payloads import uki
from payloads.describe import describe
from payloads.errors import NotRunnable
from payloads.identify import identify
from payloads.sbat import read_sbat

ERRORS = (NotRunnable,)
MAX_LENGTH = 8192
_ukis = borrow("tests/making/ukis.py")
_stub = borrow("tests/payloads/conftest.py").Builder.Pe().build()
_NAMES = (*uki.SECTIONS, ".other")
#: Each section: which name, and how many bytes of it follow.
_SECTION = struct.Struct("<BH")
_MOST = 6


def seeds():
    release = (1, b'ID=debian\nNAME="Debian"\n')
    profiles = (11, b"ID=one\nTITLE=First\n"), (2, b"quiet"), (11, b"ID='two'\n"), (2, b"single")
    sbat = (8, b"sbat,1,SBAT Version,sbat,1,https://example.org\nuki,1,Me,uki,2,\n\0rest")
    return {"plain": _pack((0, b"MZ"), release, sbat), "profiles": _pack((0, b"MZ"), release, *profiles)}


def _pack(*sections):
    return b"".join(_SECTION.pack(number, len(data)) + data for number, data in sections)


def target(data):
    sections, at = [], 0
    while at + _SECTION.size <= len(data) and len(sections) < _MOST:
        number, size = _SECTION.unpack_from(data, at)
        sections.append((_NAMES[number % len(_NAMES)], data[at + _SECTION.size : at + _SECTION.size + size]))
        at += _SECTION.size + size
    made = _ukis.extend(_stub, sections)
    payload = identify(made, "fuzz")
    describe(payload)
    for each in read_sbat(made, payload.image):
        assert each.component is not None
    found = uki.profiles(made, payload.image)
    assert len(found) == max(1, sum(name == ".profile" for name, _ in sections))
    held = [(name.partition(" of ")[0], content) for name, content in uki.contents(made, payload.image)]
    assert [(name, content.rstrip(b"\0")) for name, content in held] == [
        (name, content.rstrip(b"\0")) for name, content in sections if name in uki.SECTIONS
    ]
