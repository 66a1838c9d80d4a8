"""Symbol tables of PE files: functions by their addresses, or none."""

import struct

from loading import borrow

from payloads.symbols import function_symbols

ERRORS = ()
MAX_LENGTH = 1 << 14


def seeds():
    plain = borrow("tests/payloads/conftest.py").Builder.Pe().build()
    made = borrow("tests/payloads/test_symbols.py")
    at = int.from_bytes(plain[0x3C:0x40], "little") + 12
    numbers = struct.pack("<II", len(plain), made.COUNT)
    return {"plain": plain, "table": plain[:at] + numbers + plain[at + 8 :] + made.TABLE + made.STRINGS}


def target(data):
    found = function_symbols(data)
    addresses = [address for address, _ in found]
    assert addresses == sorted(set(addresses))
