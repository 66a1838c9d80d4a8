import struct

import pytest

from efi_services.status import Status

LAYOUT = "<HBBBBBxIhBx"
# 2026-01-01T00:00:00Z, at which the fake platform is switched on.
START = (2026, 1, 1, 0, 0, 0)


def get(guest):
    at = guest.room(16)
    status = guest.call("GetTime", at, 0)
    return status, struct.unpack(LAYOUT, guest.bytes_at(at, 16))


def set_to(guest, *date, nanosecond=0, zone=0x7FF, daylight=0):
    return guest.call("SetTime", guest.put(struct.pack(LAYOUT, *date, nanosecond, zone, daylight)))


def test_virtual_time(guest):
    guest.clock.now = 0
    status, (*date, nanosecond, zone, daylight) = get(guest)
    assert status == Status.SUCCESS
    assert tuple(date) == START
    assert (nanosecond, zone, daylight) == (0, 0x7FF, 0)
    guest.clock.now = (86_400 + 3_661) * 1_000_000_000 + 5
    assert get(guest)[1][:7] == (2026, 1, 2, 1, 1, 1, 5)


def test_capabilities(guest):
    at = guest.room(16)
    assert guest.call("GetTime", guest.room(16), at) == Status.SUCCESS
    assert struct.unpack("<IIB", guest.bytes_at(at, 9)) == (1_000_000_000, 0, 0)
    assert guest.call("GetTime", 0, at) == Status.INVALID_PARAMETER


@pytest.mark.parametrize("date", [(2000, 2, 29, 23, 59, 58), (1900, 1, 1, 0, 0, 0), (1969, 12, 31, 12, 0, 0)])
def test_time_that_was_set_goes_on(guest, date):
    guest.clock.now = 12_345_678_901
    assert set_to(guest, *date, nanosecond=7) == Status.SUCCESS
    guest.clock.now = 12_345_678_901 + 1_000_000_000
    found = get(guest)[1]
    assert found[:5] == date[:5]
    assert found[5] == date[5] + 1
    assert found[6] == 7


@pytest.mark.parametrize(
    ("date", "rest"),
    [
        ((1899, 12, 31, 0, 0, 0), {}),
        ((10000, 1, 1, 0, 0, 0), {}),
        ((0, 1, 1, 0, 0, 0), {}),
        ((2023, 2, 29, 0, 0, 0), {}),
        ((2023, 13, 1, 0, 0, 0), {}),
        ((2023, 0, 1, 0, 0, 0), {}),
        ((2023, 1, 0, 0, 0, 0), {}),
        ((2023, 1, 1, 24, 0, 0), {}),
        ((2023, 1, 1, 0, 60, 0), {}),
        ((2023, 1, 1, 0, 0, 60), {}),
        (START, {"nanosecond": 1_000_000_000}),
        (START, {"zone": 1441}),
        (START, {"zone": -1441}),
        (START, {"daylight": 4}),
    ],
)
def test_no_such_moment(guest, date, rest):
    before = guest.firmware.time_offset
    assert set_to(guest, *date, **rest) == Status.INVALID_PARAMETER
    assert guest.firmware.time_offset == before


@pytest.mark.parametrize("zone", [-1440, 0, 1440, 0x7FF])
def test_zones(guest, zone):
    assert set_to(guest, *START, zone=zone) == Status.SUCCESS
    assert guest.call("SetTime", 0) == Status.INVALID_PARAMETER


def test_the_year_after_the_last(guest):
    assert set_to(guest, 9999, 12, 31, 23, 59, 59) == Status.SUCCESS
    assert get(guest)[1][0] == 9999
    guest.call("Stall", 2_000_000)
    assert get(guest)[0] == Status.DEVICE_ERROR


def test_at_the_end_of_time(guest):
    guest.call("Stall", (1 << 64) - 1)
    assert get(guest)[1][0] == 2026 + 584


def test_at_runtime(guest):
    guest.exit_boot_services()
    assert set_to(guest, *START) == Status.SUCCESS
    assert get(guest)[0] == Status.SUCCESS
