import struct
import time
import zlib

import pytest

from efi_services import guids
from efi_services.guids import Guid
from efi_services.status import Status

PAGE, RUNTIME = 4096, 1 << 63
SHIFT = 0xFFFF_FFFE_0000_0000


def runtime_memory(guest, shift=SHIFT, size=48):
    """A map of runtime memory only, as a stub makes it of the whole map."""
    kept = [each for each in guest.memory_types() if each[3] & RUNTIME]
    entries = [struct.pack("<I4xQQQQ", kind, start, start + shift, pages, flags) for kind, start, pages, flags in kept]
    return b"".join(each.ljust(size, b"\0") for each in entries)


def set_map(guest, data, size=48, version=1):
    return guest.call("SetVirtualAddressMap", len(data), size, version, guest.put(data) if data else 0)


@pytest.fixture
def map_and_guest(guest):
    data = runtime_memory(guest)
    return data, guest


def test_the_tables_are_converted(map_and_guest, specification):
    data, guest = map_and_guest
    system, runtime, tables = guest.firmware.system_table, guest.runtime_table, guest.tables()
    vendor, array = guest.u64(system + 24), guest.u64(system + 112)
    slots = {at: guest.u64(runtime + at) for at in specification.runtime}
    guest.exit_boot_services()
    assert set_map(guest, data) == Status.SUCCESS
    converted = {at: guest.u64(runtime + at) for at in specification.runtime}
    assert converted == {at: value + SHIFT & (1 << 64) - 1 for at, value in slots.items()}
    pointers = [guest.u64(system + at) for at in (24, 88, 112)]
    assert pointers == [each + SHIFT & (1 << 64) - 1 for each in (vendor, runtime, array)]
    assert guest.u64(system + 96) == 0
    assert guest.u64(system + 104) == len(tables)
    for at, size in ((system, 120), (runtime, 136)):
        table = guest.bytes_at(at, size)
        assert guest.u32(at + 16) == zlib.crc32(table[:16] + bytes(4) + table[20:])


def test_an_identity_map_changes_nothing(guest):
    data = runtime_memory(guest, shift=0)
    guest.exit_boot_services()
    system, runtime = (guest.bytes_at(at, 120) for at in (guest.firmware.system_table, guest.runtime_table))
    assert set_map(guest, data) == Status.SUCCESS
    assert guest.bytes_at(guest.firmware.system_table, 120) == system
    assert guest.bytes_at(guest.runtime_table, 120) == runtime


def test_only_once_and_only_at_runtime(map_and_guest):
    data, guest = map_and_guest
    assert set_map(guest, data) == Status.UNSUPPORTED
    guest.exit_boot_services()
    assert set_map(guest, data) == Status.SUCCESS
    assert set_map(guest, data) == Status.UNSUPPORTED


@pytest.mark.parametrize("size", [40, 48, 56, 256])
def test_any_step_from_one_descriptor_to_the_next(guest, size):
    data = runtime_memory(guest, size=size)
    guest.exit_boot_services()
    assert set_map(guest, data, size) == Status.SUCCESS


def test_what_makes_no_sense(map_and_guest):
    data, guest = map_and_guest
    guest.exit_boot_services()
    at = guest.put(data)
    for arguments in (
        (len(data), 48, 0, at),
        (len(data), 48, 2, at),
        (len(data), 39, 1, at),
        (len(data), 0, 1, at),
        (len(data), 48, 1, 0),
        (1 << 40, 48, 1, at),
        ((1 << 64) - 1, 48, 1, at),
    ):
        assert guest.call("SetVirtualAddressMap", *arguments) == Status.INVALID_PARAMETER
    crooked = data[:16] + struct.pack("<Q", SHIFT + 8) + data[24:]
    assert set_map(guest, crooked) == Status.INVALID_PARAMETER
    assert guest.firmware.virtual_map == ()
    assert set_map(guest, data) == Status.SUCCESS


def test_a_map_without_all_runtime_memory(map_and_guest):
    data, guest = map_and_guest
    guest.exit_boot_services()
    assert set_map(guest, data[48:]) == Status.NO_MAPPING
    assert guest.call("SetVirtualAddressMap", 0, 48, 1, guest.room()) == Status.NO_MAPPING
    assert guest.call("SetVirtualAddressMap", len(data), (1 << 64) - 1, 1, guest.put(data)) == Status.NO_MAPPING
    # Descriptors that don't claim to be of runtime memory count for nothing.
    blank = b"".join(data[at : at + 32] + bytes(16) for at in range(0, len(data), 48))
    assert set_map(guest, blank) == Status.NO_MAPPING


def test_the_largest_map_is_read_soon(guest, specification):
    guest.exit_boot_services()
    began = time.process_time()
    status = guest.call("SetVirtualAddressMap", 1 << 20, 40, 1, specification.scratch_end)
    assert status in (Status.NO_MAPPING, Status.INVALID_PARAMETER)
    assert time.process_time() - began < 3


class TestConvertPointer:
    """Section 8.4.2."""

    def test_only_while_drivers_are_told(self, map_and_guest):
        data, guest = map_and_guest
        at = guest.put(guest.runtime_table)
        assert guest.call("ConvertPointer", 0, at) == Status.UNSUPPORTED
        guest.exit_boot_services()
        assert guest.call("ConvertPointer", 0, at) == Status.UNSUPPORTED
        set_map(guest, data)
        assert guest.call("ConvertPointer", 0, at) == Status.UNSUPPORTED

    @pytest.mark.parametrize("kind", ["type", "group"])
    def test_in_a_notification(self, map_and_guest, kind):
        data, guest = map_and_guest
        pointer, null, wild = guest.put(guest.runtime_table + 5), guest.put(0), guest.put(0x1234)
        answers = []

        def notify(*_):
            asked = ((0, pointer), (0, null), (1, null), (0, wild), (1, wild), (0, 0))
            answers.extend(guest.call("ConvertPointer", *each) for each in asked)

        if kind == "type":
            guest.event(0x6000_0202, 8, notify)
        else:
            group = guest.put(guids.EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE)
            guest.call("CreateEventEx", 0x200, 8, guest.function(notify), 0, group, guest.room())
        guest.exit_boot_services()
        assert answers == []
        assert set_map(guest, data) == Status.SUCCESS
        assert answers == [
            Status.SUCCESS, Status.INVALID_PARAMETER, Status.SUCCESS, Status.NOT_FOUND, Status.NOT_FOUND,
            Status.INVALID_PARAMETER,
        ]  # fmt: skip
        assert guest.u64(pointer) == guest.runtime_table + 5 + SHIFT & (1 << 64) - 1
        assert (guest.u64(null), guest.u64(wild)) == (0, 0x1234)


def test_notifications_return_to_memory_that_is_still_the_firmwares(map_and_guest):
    data, guest = map_and_guest
    back = []
    guest.event(0x6000_0202, 8, lambda *_: back.append(guest.u64(guest.cpu.registers["rsp"])))
    guest.exit_boot_services()
    assert set_map(guest, data) == Status.SUCCESS
    assert guest.firmware.memory_map.at(back[0]).type.is_runtime


def test_variables_afterwards(map_and_guest):
    data, guest = map_and_guest
    guest.exit_boot_services()
    set_map(guest, data)
    arguments = guest.put("Mine"), guest.put(Guid(int=1)), 7, 1, guest.room()
    assert guest.call("SetVariable", *arguments) == Status.SUCCESS
