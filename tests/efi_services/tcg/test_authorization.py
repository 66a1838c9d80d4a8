"""Passwords, and what else may stand in their place."""

import struct

import pytest

from efi_services.tcg.authorization import authorize
from efi_services.tcg.commands import PASSWORD, TpmError


def entry(handle=PASSWORD, nonce=b"", password=b""):
    return struct.pack(">IH", handle, len(nonce)) + nonce + struct.pack(">BH", 0, len(password)) + password


def area(*entries):
    data = b"".join(entries)
    return struct.pack(">I", len(data)) + data


@pytest.mark.parametrize(("given", "wanted"), [(b"", b""), (b"", b"\0"), (b"pw", b"pw"), (b"pw\0", b"pw")])
def test_passwords_that_are_equal_but_for_zeroes(given, wanted):
    assert authorize(area(entry(password=given)) + b"rest", [wanted]) == (1, b"rest")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 0x95),
        (struct.pack(">I", 3) + entry(), 0x95),
        (struct.pack(">I", 99) + entry(), 0x95),
        (area(entry(), b"\x40"), 0xA9A),
        (area(entry(), entry()), 0xA8B),
        (area(*[entry()] * 4), 0xC95),
        (area(entry(nonce=b"n")), 0x98F),
        (area(entry(password=b"p")), 0x9A2),
        (area(entry(handle=0x0200_0000)), 0x918),
        (area(entry(handle=0x0300_0000)), 0x918),
        (area(entry(handle=0x4000_0001)), 0x984),
    ],
)
def test_what_is_refused(data, code):
    with pytest.raises(TpmError) as why:
        authorize(data, [b""])
    assert why.value.code == code


def test_each_handle_needs_one():
    with pytest.raises(TpmError) as why:
        authorize(area(entry()), [b"", b""])
    assert why.value.code == 0x125
