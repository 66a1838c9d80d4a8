"""Symbol tables that are right, that lie, and that are rubbish."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payloads import symbols
from payloads.catalogue import program
from payloads.symbols import function_symbols

FUNCTION, EXTERNAL, STATIC, LABEL = 0x20, 2, 3, 6
LONG = "a_function_with_a_long_name"


def symbol(name, value, section=1, kind=FUNCTION, storage=EXTERNAL, auxiliary=b""):
    return struct.pack("<8sIhHBB", name, value, section, kind, storage, len(auxiliary) // 18) + auxiliary


TABLE = (
    symbol(b".text", 0, kind=0, storage=STATIC, auxiliary=bytes(18))
    + symbol(b"later", 0x20)
    + symbol(struct.pack("<II", 0, 4), 0x10, storage=STATIC)
    + symbol(b"label", 0x30, kind=0)
    + symbol(b"twin", 0x20, storage=STATIC)
    + symbol(b"a_twin", 0x20, kind=0)
    + symbol(b"datum", 0x10, section=2, kind=0)
    + symbol(b"inner", 0x31, kind=0, storage=LABEL)
    + symbol(b"outside", 0x200)
    + symbol(b"absolute", 0x10, section=-1)
    + symbol(b"nowhere", 0x10, section=3)
)
COUNT = len(TABLE) // 18
STRINGS = struct.pack("<I", 4 + len(LONG) + 1) + LONG.encode() + b"\0"


@pytest.fixture(scope="session")
def with_table(build):
    """Makes an image with such a symbol table behind its sections."""
    plain = build.Pe().build()
    numbers_at = int.from_bytes(plain[0x3C:0x40], "little") + 12
    table_at = len(plain)

    def with_table(table=TABLE + STRINGS, count=COUNT, start=table_at):
        return plain[:numbers_at] + struct.pack("<II", start, count) + plain[numbers_at + 8 :] + table

    return with_table


def test_functions_and_labels_of_code_are_found_with_one_name_for_each_address(with_table):
    assert function_symbols(with_table()) == [(0x1010, LONG), (0x1020, "later"), (0x1030, "label")]


def test_an_image_without_a_table_has_no_symbols(build):
    assert function_symbols(build.Pe().build()) == []
    assert function_symbols(program("program:hello").read_bytes()) == []


@pytest.mark.parametrize("data", [b"", b"MZ", bytes(100)])
def test_what_is_no_image_has_no_symbols(data):
    assert function_symbols(data) == []


@pytest.mark.parametrize(
    "numbers",
    [{"count": 0xFFFF_FFFF}, {"count": len(TABLE + STRINGS) // 18 + 1}, {"start": 0xFFFF_FFFF}, {"start": 0}],
)
def test_a_table_that_does_not_fit_the_file_has_no_symbols(with_table, numbers):
    assert function_symbols(with_table(**numbers)) == []


def test_symbols_without_their_string_table_keep_their_short_names(with_table):
    assert function_symbols(with_table(TABLE)) == [(0x1020, "later"), (0x1030, "label")]


def test_names_that_cannot_be_shown_are_left_out(with_table):
    table = symbol(b"\xff\xfe", 1) + symbol(b"a\x1b[0m", 2) + symbol(struct.pack("<II", 0, 0x7FFF_FFFF), 3)
    assert function_symbols(with_table(table, 3)) == []


def test_names_that_are_all_the_same_long_string_are_refused(with_table, monkeypatch):
    table = b"".join(symbol(struct.pack("<II", 0, 4), at) for at in range(9)) + STRINGS
    assert len(function_symbols(with_table(table, 9))) == 9
    monkeypatch.setattr(symbols, "MAX_NAME_CHARACTERS", 8 * len(LONG))
    assert function_symbols(with_table(table, 9)) == []


def test_a_table_with_too_many_symbols_is_refused(with_table, monkeypatch):
    monkeypatch.setattr(symbols, "MAX_SYMBOLS", COUNT - 1)
    assert function_symbols(with_table()) == []


@given(table=st.binary(max_size=200), count=st.integers(0, 0xFFFF_FFFF), start=st.integers(0, 0xFFFF_FFFF))
def test_no_table_raises(with_table, table, count, start):
    for data in (with_table(table), with_table(table, count % 12), with_table(table, count, start)):
        found = function_symbols(data)
        assert found == sorted(set(found))
        assert len(found) <= len(data) // 18


@given(changes=st.dictionaries(st.integers(0, len(TABLE + STRINGS) - 1), st.integers(0, 255), max_size=20))
def test_a_damaged_table_names_only_code(with_table, changes):
    table = bytearray(TABLE + STRINGS)
    for at, value in changes.items():
        table[at] = value
    for rva, name in function_symbols(with_table(bytes(table))):
        assert 0x1000 <= rva < 0x1200
        assert name.isprintable()
