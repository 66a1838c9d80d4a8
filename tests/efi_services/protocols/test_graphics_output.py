import struct

import pytest

from efi_services.framebuffer import Resolution
from efi_services.guids import DEVICE_PATH, GRAPHICS_OUTPUT
from efi_services.memory_map import MemoryType
from efi_services.platform import Graphics
from efi_services.status import Status

NAME = "EFI_GRAPHICS_OUTPUT_PROTOCOL"
FILL, FROM_VIDEO, TO_VIDEO, WITHIN_VIDEO = range(4)
SIZES = ((16, 8), (32, 24), (24, 40))
RED = bytes((0, 0, 0xFF, 0))


@pytest.fixture
def guest(power_on):
    made = power_on(graphics=Graphics(tuple(Resolution(*each) for each in SIZES), mode=1))
    made.start()
    return made


@pytest.fixture
def interface(guest):
    return guest.protocol(GRAPHICS_OUTPUT)


@pytest.fixture
def call(guest, interface):
    return lambda method, *arguments: guest.method(NAME, method, interface, *arguments)


@pytest.fixture
def mode(guest, interface):
    """Reads EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE, and the information that it points to."""

    def read():
        count, number, info, size, base, room = struct.unpack("<IIQQQQ", guest.bytes_at(guest.u64(interface + 24), 40))
        return count, number, guest.bytes_at(info, size), base, room

    return read


@pytest.fixture
def blt(call):
    """Blt with its arguments by name; those that are not given are 0."""

    def do(operation, buffer=0, source=(0, 0), destination=(0, 0), size=(1, 1), delta=0):
        return call("Blt", buffer, operation, *source, *destination, *size, delta)

    return do


def test_the_mode_at_power_on(guest, mode):
    count, number, info, base, room = mode()
    assert (count, number) == (3, 1)
    assert struct.unpack("<9I", info) == (0, 32, 24, 1, 0, 0, 0, 0, 32)
    # Enough for the largest mode, in whole pages that nobody else gets.
    assert room == 4096
    assert guest.bytes_at(base, 32 * 24 * 4) == bytes(32 * 24 * 4)
    reserved = [(start, pages) for kind, start, pages, _ in guest.memory_types() if kind == 0]
    assert any(start <= base < start + 4096 * pages for start, pages in reserved)
    assert guest.firmware.memory_map.at(base).type is MemoryType.ReservedMemoryType


def test_it_is_on_a_device(guest):
    handle, path = guest.room(), guest.room()
    assert guest.call("LocateHandle", 2, guest.put(GRAPHICS_OUTPUT), 0, guest.put(8), handle) == Status.SUCCESS
    assert guest.call("HandleProtocol", guest.u64(handle), guest.put(DEVICE_PATH), path) == Status.SUCCESS
    # As OvmfPkg has it: VenHw(557423A1-63AB-406C-BE7E-91CDBC08C457)/AcpiAdr(0x80010300).
    expected = "01041400a1237455ab636c40be7e91cdbc08c45702030800000301807fff0400"
    assert guest.bytes_at(guest.u64(path), 32).hex() == expected


def test_modes_are_told(guest, call):
    size, info = guest.room(), guest.room()
    for number, (width, height) in enumerate(SIZES):
        assert call("QueryMode", number, size, info) == Status.SUCCESS
        assert guest.u64(size) == 36
        told = struct.unpack("<9I", guest.bytes_at(guest.u64(info), 36))
        assert told == (0, width, height, 1, 0, 0, 0, 0, width)
        assert guest.call("FreePool", guest.u64(info)) == Status.SUCCESS
    for wrong in ((3, size, info), (0, 0, info), (0, size, 0), (0xFFFF_FFFF, size, info)):
        assert call("QueryMode", *wrong) == Status.INVALID_PARAMETER


def test_a_mode_is_set_and_the_screen_cleared(guest, call, mode, blt):
    base = mode()[3]
    assert blt(FILL, guest.put(RED), size=(32, 24)) == Status.SUCCESS
    assert call("SetMode", 2) == Status.SUCCESS
    count, number, info, still, _ = mode()
    assert (count, number, still) == (3, 2, base)
    assert struct.unpack("<9I", info)[1:3] == (24, 40)
    assert guest.bytes_at(base, 24 * 40 * 4) == bytes(24 * 40 * 4)
    assert call("SetMode", 3) == Status.UNSUPPORTED
    assert mode()[1] == 2
    assert guest.firmware.screen.picture().resolution == Resolution(24, 40)


def test_the_four_operations(guest, mode, blt):
    base = mode()[3]
    row = 32 * 4
    blue, buffer = bytes((0xFF, 0, 0, 0)), guest.room(64)
    assert blt(FILL, guest.put(RED), destination=(2, 3), size=(2, 1)) == Status.SUCCESS
    assert guest.bytes_at(base + 3 * row + 4, 16) == bytes(4) + 2 * RED + bytes(4)
    assert blt(WITHIN_VIDEO, 0, source=(2, 3), destination=(3, 3), size=(2, 1)) == Status.SUCCESS
    assert guest.bytes_at(base + 3 * row + 4, 20) == bytes(4) + 3 * RED + bytes(4)
    # Within a buffer of four pixels in a row, to the second row and column.
    assert blt(FROM_VIDEO, buffer, source=(2, 3), destination=(1, 1), size=(2, 1), delta=16) == Status.SUCCESS
    assert guest.bytes_at(buffer, 32) == b"\xa5" * 20 + 2 * RED + b"\xa5" * 4
    pixels = guest.put(bytes(16) + bytes(4) + blue + RED + bytes(4))
    assert blt(TO_VIDEO, pixels, source=(1, 1), destination=(30, 23), size=(2, 1), delta=16) == Status.SUCCESS
    assert guest.bytes_at(base + 23 * row + 116, 12) == bytes(4) + blue + RED
    # Without a delta rows follow each other.
    assert blt(TO_VIDEO, guest.put(RED + blue), destination=(0, 0), size=(1, 2)) == Status.SUCCESS
    assert (guest.bytes_at(base, 4), guest.bytes_at(base + row, 4)) == (RED, blue)


@pytest.mark.parametrize("operation", [FILL, FROM_VIDEO, TO_VIDEO, WITHIN_VIDEO])
def test_what_can_not_be_is_refused(guest, mode, blt, operation):
    """Nothing is written then."""
    buffer = guest.put(RED * 16)
    screen = mode()[3]
    video = "source" if operation == FROM_VIDEO else "destination"
    wrong = [
        {"size": (0, 1)}, {"size": (1, 0)}, {"size": (33, 1)}, {"size": (1, 25)}, {video: (32, 0)}, {video: (0, 24)},
        {video: (31, 0), "size": (2, 1)}, {video: (0, 23), "size": (1, 2)},
        {video: ((1 << 64) - 1, 0), "size": (2, 1)}, {"size": ((1 << 64) - 1, (1 << 64) - 1)},
    ]  # fmt: skip
    if operation == WITHIN_VIDEO:
        wrong += [{"source": (32, 0)}, {"source": (31, 23), "size": (1, 2)}]
    for each in wrong:
        assert blt(operation, buffer, **each) == Status.INVALID_PARAMETER, each
    if operation != WITHIN_VIDEO:
        assert blt(operation, 0) == Status.INVALID_PARAMETER
    assert guest.bytes_at(screen, 32 * 24 * 4) == bytes(32 * 24 * 4)
    assert guest.bytes_at(buffer, 64) == RED * 16


def test_an_operation_that_there_is_not(guest, blt):
    assert blt(4, guest.put(RED)) == Status.INVALID_PARAMETER


def test_the_plain_platform_has_no_screen(power_on):
    guest = power_on()
    assert guest.call("LocateProtocol", guest.put(GRAPHICS_OUTPUT), 0, guest.room()) == Status.NOT_FOUND
    assert guest.firmware.screen is None
