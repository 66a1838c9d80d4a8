"""A script of keys, as programs read it."""

import struct

import pytest

from efi_services import guids
from efi_services.dispatch import RunEnds
from efi_services.keyboard import Key
from efi_services.status import Status

TEXT, EXTENDED = "EFI_SIMPLE_TEXT_INPUT_PROTOCOL", "EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL"
SECOND = 1_000_000_000
SCRIPT = (Key(character=ord("a")), Key(scan_code=2, pause=SECOND), Key(character=13))
CONTROL_C = Key(character=ord("c"), control=True)


@pytest.fixture
def guest(power_on):
    made = power_on(keys=SCRIPT)
    made.start()
    return made


def keyboards(guest):
    """Both interfaces; they are on one handle."""
    plain = guest.u64(guest.firmware.system_table + 48)
    return plain, guest.protocol(guids.SIMPLE_TEXT_INPUT_EX)


def read(guest, extended=False):
    plain, other = keyboards(guest)
    at = guest.room(12)
    if extended:
        status = guest.method(EXTENDED, "ReadKeyStrokeEx", other, at)
    else:
        status = guest.method(TEXT, "ReadKeyStroke", plain, at)
    return struct.unpack("<HH", guest.bytes_at(at, 4)) if status == 0 else Status(status)


def test_keys_come_in_their_order_whichever_way_they_are_read(guest):
    assert read(guest) == (0, ord("a"))
    assert read(guest, extended=True) == Status.NOT_READY
    guest.call("Stall", 1_000_000)
    assert read(guest, extended=True) == (2, 0)
    assert read(guest) == (0, 13)
    assert read(guest) == Status.NOT_READY


def test_a_program_that_polls_gets_through_its_wait(guest):
    read(guest)
    polls = 0
    while read(guest) == Status.NOT_READY:
        polls += 1
        guest.free -= 16
    assert 50 < polls < 200


def test_waiting_for_a_key(guest):
    plain, extended = keyboards(guest)
    events = guest.put(struct.pack("<QQ", guest.u64(plain + 16), guest.u64(extended + 16)))
    index = guest.room()
    for _ in range(2):
        # It stays signalled as long as the key isn't read.
        assert guest.call("WaitForEvent", 1, events, index) == 0
        assert guest.call("CheckEvent", guest.u64(events)) == 0
    read(guest)
    assert guest.call("CheckEvent", guest.u64(events)) == Status.NOT_READY
    before = guest.clock.now
    assert guest.call("WaitForEvent", 2, events, index) == 0
    assert SECOND * 0.9 < guest.clock.now - before <= SECOND * 1.1


def test_waiting_for_a_key_that_nobody_will_press_ends_the_run(power_on):
    guest = power_on()
    guest.start()
    events = guest.put(guest.u64(keyboards(guest)[0] + 16))
    with pytest.raises(RunEnds, match="nothing will ever signal"):
        guest.call("WaitForEvent", 1, events, guest.room())


def test_a_timer_ends_the_wait_for_a_key(power_on):
    guest = power_on()
    guest.start()
    timer = guest.event(0x8000_0000)
    guest.call("SetTimer", timer, 2, 30_000_000)
    events, index = guest.put(struct.pack("<QQ", guest.u64(keyboards(guest)[0] + 16), timer)), guest.room()
    assert guest.call("WaitForEvent", 2, events, index) == 0
    assert guest.u64(index) == 1
    assert guest.clock.now >= 3 * SECOND


def test_the_state_of_shift_keys(guest):
    _, extended = keyboards(guest)
    at = guest.room(12)
    assert guest.method(EXTENDED, "ReadKeyStrokeEx", extended, at) == 0
    assert struct.unpack("<HHIB", guest.bytes_at(at, 9)) == (0, ord("a"), 0x8000_0000, 0x80)
    assert guest.method(EXTENDED, "SetState", extended, guest.put(b"\x81")) == 0
    assert guest.method(EXTENDED, "SetState", extended, guest.put(b"\x01")) == Status.UNSUPPORTED
    assert guest.method(EXTENDED, "ReadKeyStrokeEx", extended, at) == Status.NOT_READY
    assert struct.unpack("<HHIB", guest.bytes_at(at, 9)) == (0, 0, 0x8000_0000, 0x81)
    assert guest.method(EXTENDED, "Reset", extended, 0) == 0
    assert guest.method(TEXT, "Reset", keyboards(guest)[0], 0) == 0


def test_functions_are_told_of_the_keys_that_they_asked_for(guest):
    """When somebody reads them, whichever way; shift keys that are not held are asked for in vain."""
    _, extended = keyboards(guest)
    told = []
    function = guest.function(lambda at, *_: told.append(struct.unpack("<HHIB", guest.bytes_at(at, 9))))
    handle, again = guest.room(), guest.room()
    wanted = guest.put(struct.pack("<HHIB3x", 0, ord("a"), 0, 0))
    with_control = guest.put(struct.pack("<HHIB3x", 0, ord("a"), 0x8000_0008, 0))
    register = lambda *arguments: guest.method(EXTENDED, "RegisterKeyNotify", extended, *arguments)  # noqa: E731
    assert register(wanted, function, handle) == Status.SUCCESS
    assert register(with_control, function, guest.room()) == Status.SUCCESS
    assert register(wanted, function, again) == Status.SUCCESS
    assert guest.u64(handle) == guest.u64(again)
    for wrong in ((0, function, handle), (wanted, 0, handle), (wanted, function, 0)):
        assert register(*wrong) == Status.INVALID_PARAMETER
    assert read(guest) == (0, ord("a"))
    assert told == [(0, ord("a"), 0x8000_0000, 0x80)]
    guest.call("Stall", 1_000_000)
    assert read(guest, extended=True) == (2, 0)
    assert len(told) == 1


def test_functions_are_told_no_more(guest):
    _, extended = keyboards(guest)
    told, handle = [], guest.room()
    wanted = guest.put(struct.pack("<HHIB3x", 0, ord("a"), 0, 0))
    function = guest.function(lambda *_: told.append(1))
    assert guest.method(EXTENDED, "RegisterKeyNotify", extended, wanted, function, handle) == Status.SUCCESS
    assert guest.method(EXTENDED, "UnregisterKeyNotify", extended, guest.u64(handle)) == Status.SUCCESS
    assert guest.method(EXTENDED, "UnregisterKeyNotify", extended, guest.u64(handle)) == Status.INVALID_PARAMETER
    assert guest.method(EXTENDED, "UnregisterKeyNotify", extended, 0) == Status.INVALID_PARAMETER
    assert read(guest) == (0, ord("a"))
    assert told == []


def test_the_control_key(power_on):
    guest = power_on(keys=(CONTROL_C, CONTROL_C))
    guest.start()
    _, extended = keyboards(guest)
    told, state = [], guest.room(12)
    wanted = guest.put(struct.pack("<HHIB3x", 0, ord("c"), 0x8000_0008, 0))
    function = guest.function(lambda at, *_: told.append(guest.u32(at + 4)))
    assert guest.method(EXTENDED, "RegisterKeyNotify", extended, wanted, function, guest.room()) == Status.SUCCESS
    assert read(guest) == (0, 3)
    assert guest.method(EXTENDED, "ReadKeyStrokeEx", extended, state) == Status.SUCCESS
    assert struct.unpack("<HHIB", guest.bytes_at(state, 9)) == (0, ord("c"), 0x8000_0008, 0x80)
    assert told == [0x8000_0008] * 2
