import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payloads import NotRunnable
from payloads.certificates import MAX_SIGNATURES, signed_data

PKCS7 = bytes.fromhex("9dd2af4adf68ee498aa9347d375665a7")


def entry(body, kind=2, size=None):
    made = struct.pack("<IHH", 8 + len(body) if size is None else size, 0x0200, kind) + body
    return made.ljust(-(-len(made) // 8) * 8, b"\0")


@pytest.fixture
def with_table(build):
    """An image with this certificate table."""

    def make(table, size=None):
        image = build.Pe().build()
        told = struct.pack("<II", len(image), len(table) if size is None else size)
        directory = build.signed(image, bytes(32)).index(struct.pack("<I", len(image)))
        return image[:directory] + told + image[directory + 8 :] + table

    return make


def test_without_a_table(build):
    assert signed_data(build.Pe().build()) is None
    assert signed_data(build.Pe(directories={4: (0, 0)}).build()) is None


def test_the_signatures_in_their_order(with_table):
    table = entry(b"one") + entry(b"unknown", kind=0x0EF0) + entry(PKCS7 + b"two", kind=0x0EF1)
    table += entry(bytes(16) + b"of another GUID", kind=0x0EF1) + entry(b"three---")
    assert signed_data(with_table(table)) == (b"one", b"two", b"three---")
    assert signed_data(with_table(entry(b"x", kind=1))) == ()


def test_the_last_ones_padding_may_be_missing(with_table):
    table = entry(b"one") + entry(b"two")[:11]
    assert signed_data(with_table(table)) == (b"one", b"two")


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (entry(b"one") + b"\0" * 4, "within a certificate's header"),
        (entry(b"one") + bytes(8), "a certificate of 0 bytes in 8"),
        (entry(b"one", size=8), "a certificate of 8 bytes"),
        (entry(b"one", size=17), "a certificate of 17 bytes in 16"),
        (entry(b"one", size=(1 << 32) - 1), "a certificate of 4294967295 bytes"),
        (entry(b"one") * (MAX_SIGNATURES + 1), "more than 32 signatures"),
    ],
)
def test_a_damaged_table(with_table, table, why):
    with pytest.raises(NotRunnable, match=why):
        signed_data(with_table(table))


def test_a_table_outside_the_file(with_table):
    with pytest.raises(NotRunnable, match="outside the file"):
        signed_data(with_table(entry(b"one"), size=17))


@given(st.binary(max_size=100))
def test_any_table_is_read_or_refused(build, data):
    image = build.Pe().build()
    directory = build.signed(image, bytes(32)).index(struct.pack("<I", len(image)))
    whole = image[:directory] + struct.pack("<II", len(image), len(data)) + image[directory + 8 :] + data
    try:
        found = signed_data(whole)
    except NotRunnable:
        return
    assert (found is None) == (not data)
    assert sum(map(len, found or ())) <= len(data)
