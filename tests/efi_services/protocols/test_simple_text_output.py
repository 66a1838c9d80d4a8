import struct

import pytest

from efi_services.status import Status

NAME = "EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL"


@pytest.fixture
def interface(guest):
    return guest.u64(guest.firmware.system_table + 64)


@pytest.fixture
def call(guest, interface):
    return lambda method, *arguments: guest.method(NAME, method, interface, *arguments)


@pytest.fixture
def mode(guest, interface):
    """Reads SIMPLE_TEXT_OUTPUT_MODE."""
    return lambda: struct.unpack("<5iB", guest.bytes_at(guest.u64(interface + 72), 21))


def test_text(guest, call, mode):
    assert mode() == (1, 0, 7, 0, 0, 1)
    assert call("OutputString", guest.put("Hallo\r\nWelt ü")) == Status.SUCCESS
    assert guest.observer.printed == ["Hallo\r\nWelt ü"]
    assert guest.firmware.console.text == "Hallo\nWelt ü"
    assert mode() == (1, 0, 7, 6, 1, 1)
    assert call("OutputString", 0) == Status.INVALID_PARAMETER
    assert call("TestString", guest.put("ü")) == Status.SUCCESS


def test_one_mode(guest, call):
    columns, rows = guest.room(), guest.room()
    assert call("QueryMode", 0, columns, rows) == Status.SUCCESS
    assert (guest.u64(columns), guest.u64(rows)) == (80, 25)
    assert call("QueryMode", 1, columns, rows) == Status.UNSUPPORTED
    assert call("QueryMode", 0, 0, rows) == Status.INVALID_PARAMETER
    assert call("SetMode", 0) == Status.SUCCESS
    assert call("SetMode", 1) == Status.UNSUPPORTED


def test_the_cursor(guest, call, mode):
    assert call("SetCursorPosition", 79, 24) == Status.SUCCESS
    assert mode()[3:5] == (79, 24)
    for wrong in ((80, 0), (0, 25), ((1 << 64) - 1, 0)):
        assert call("SetCursorPosition", *wrong) == Status.UNSUPPORTED
    assert mode()[3:5] == (79, 24)
    assert call("EnableCursor", 0xFF00) == Status.SUCCESS
    assert mode()[5] == 0
    assert call("EnableCursor", 2) == Status.SUCCESS
    assert mode()[5] == 1
    for method in ("ClearScreen", "SetMode", "Reset"):
        call("SetCursorPosition", 5, 5)
        assert call(method, 0) == Status.SUCCESS
        assert mode()[3:5] == (0, 0)


def test_colours(call, mode):
    assert call("SetAttribute", 0x7F) == Status.SUCCESS
    assert mode()[2] == 0x7F
    assert call("SetAttribute", 0x80) == Status.UNSUPPORTED
    assert mode()[2] == 0x7F
    assert call("Reset", 1) == Status.SUCCESS
    assert mode()[2] == 7


def test_what_is_cleared_stays_on_record(guest, call):
    call("OutputString", guest.put("one"))
    call("ClearScreen")
    call("OutputString", guest.put("two"))
    assert guest.firmware.console.text == "onetwo"
