"""Logs in guest memory."""

from efi_services.tcg.area import FinalEvents, LogArea


class Memory:
    def __init__(self):
        self.data = bytearray(0x200)

    def write(self, address, data):
        self.data[address : address + len(data)] = data

    def fill(self, address, size, value):
        self.write(address, bytes([value]) * size)


def test_entries_follow_each_other_and_the_rest_is_ones():
    memory = Memory()
    area = LogArea(memory, 0x100, 0x20)
    assert (area.last, area.append(b"first"), area.append(b"second")) == (0, True, True)
    assert area.last == 0x105
    assert memory.data[0x100:0x120] == b"firstsecond".ljust(0x20, b"\xff")
    assert not any(memory.data[:0x100])


def test_after_an_entry_that_has_no_room_there_is_none():
    memory = Memory()
    area = LogArea(memory, 0x100, 8)
    area.append(b"abc")
    assert not area.append(b"123456")
    assert not area.append(b"1")
    assert (area.truncated, area.used, area.last) == (True, 3, 0x100)


def test_an_area_can_be_filled_to_its_last_byte():
    area = LogArea(Memory(), 0x100, 4)
    assert area.append(b"full")
    assert not area.truncated


def test_final_events_are_counted():
    memory = Memory()
    final = FinalEvents(memory, 0x100, 0x18)
    assert memory.data[0x100:0x110] == (1).to_bytes(8, "little") + bytes(8)
    assert final.append(b"eventone")
    assert not final.append(b"x")
    assert memory.data[0x108:0x118] == (1).to_bytes(8, "little") + b"eventone"
