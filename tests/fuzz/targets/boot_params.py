"""The page that an x86 kernel is handed: decoded whatever is in it."""

from shim.handoff import x86

ERRORS = ()
MAX_LENGTH = x86.SIZE


def seeds():
    page = bytearray(x86.SIZE)
    page[0x1C0:0x1C4] = b"EL64"
    page[0x1E8] = 2
    return {"empty": bytes(x86.SIZE), "efi": bytes(page)}


def target(data):
    found = x86.decode(data.ljust(x86.SIZE, b"\0"))
    assert len(found["e820"]) <= 128
