import pytest

from efi_services.device_path import END, file_path, vendor_media
from efi_services.guids import LINUX_EFI_INITRD_MEDIA, LOAD_FILE2
from efi_services.status import Status

INITRD = bytes(range(256)) * 5
NAME = "EFI_LOAD_FILE2_PROTOCOL"


@pytest.fixture
def guest(power_on):
    made = power_on(initrd=INITRD)
    made.start()
    return made


def find(guest):
    """As a stub finds its initrd: the handle, and what is left of the path."""
    path = guest.put(guest.put(vendor_media(LINUX_EFI_INITRD_MEDIA) + END))
    handle = guest.room()
    status = guest.call("LocateDevicePath", guest.put(LOAD_FILE2), path, handle)
    return status, guest.u64(handle), guest.u64(path)


def test_a_stub_loads_its_initrd(guest):
    status, handle, rest = find(guest)
    assert status == Status.SUCCESS
    assert guest.bytes_at(rest, 4) == END
    out = guest.room()
    assert guest.call("HandleProtocol", handle, guest.put(LOAD_FILE2), out) == Status.SUCCESS
    interface, size = guest.u64(out), guest.put(0)
    assert guest.method(NAME, "LoadFile", interface, rest, 0, size, 0) == Status.BUFFER_TOO_SMALL
    assert guest.u64(size) == len(INITRD)
    buffer = guest.room(len(INITRD) + 8)
    guest.memory.write(size, (len(INITRD) - 1).to_bytes(8, "little"))
    assert guest.method(NAME, "LoadFile", interface, rest, 0, size, buffer) == Status.BUFFER_TOO_SMALL
    assert guest.method(NAME, "LoadFile", interface, rest, 0, size, 0) == Status.BUFFER_TOO_SMALL
    assert guest.method(NAME, "LoadFile", interface, rest, 0, size, buffer) == Status.SUCCESS
    assert guest.bytes_at(buffer, len(INITRD) + 8) == INITRD + b"\xa5" * 8


def test_what_there_is_not(guest):
    interface, size, end = guest.protocol(LOAD_FILE2), guest.put(0), guest.put(END)
    assert guest.method(NAME, "LoadFile", interface, end, 1, size, 0) == Status.UNSUPPORTED
    assert guest.method(NAME, "LoadFile", interface, end, 0x100, size, 0) == Status.BUFFER_TOO_SMALL
    other = guest.put(file_path("x") + END)
    assert guest.method(NAME, "LoadFile", interface, other, 0, size, 0) == Status.NOT_FOUND
    assert guest.method(NAME, "LoadFile", interface, 0, 0, size, 0) == Status.INVALID_PARAMETER
    assert guest.method(NAME, "LoadFile", interface, guest.put(bytes(8)), 0, size, 0) == Status.INVALID_PARAMETER
    assert guest.method(NAME, "LoadFile", interface, end, 0, 0, 0) == Status.INVALID_PARAMETER


def test_without_an_initrd_there_is_no_such_device(power_on):
    guest = power_on()
    guest.start()
    # Any other answer would be fatal for a stub.
    assert find(guest)[0] == Status.NOT_FOUND


def test_an_initrd_of_no_bytes(power_on):
    guest = power_on(initrd=b"")
    guest.start()
    interface, size = guest.protocol(LOAD_FILE2), guest.put(0)
    assert guest.method(NAME, "LoadFile", interface, guest.put(END), 0, size, guest.room()) == Status.SUCCESS
