import time

import pytest

from efi_services.guids import Guid
from efi_services.status import Status

RNG = Guid("3152bca5-eade-433d-862e-c01cdc291f44")
RAW = Guid("e43176d7-b6e8-4827-b784-7ffdc4b68561")
NAME = "EFI_RNG_PROTOCOL"


@pytest.fixture
def call(guest):
    interface = guest.protocol(RNG)
    return lambda method, *arguments: guest.method(NAME, method, interface, *arguments)


def test_algorithms(guest, call):
    size, buffer = guest.put(15), guest.room(32)
    assert call("GetInfo", size, buffer) == Status.BUFFER_TOO_SMALL
    assert guest.u64(size) == 16
    assert call("GetInfo", size, 0) == Status.INVALID_PARAMETER
    assert call("GetInfo", 0, buffer) == Status.INVALID_PARAMETER
    assert call("GetInfo", size, buffer) == Status.SUCCESS
    assert guest.bytes_at(buffer, 17) == RAW.bytes_le + b"\xa5"


def test_numbers_come_from_the_port_and_differ(guest, call):
    buffer = guest.room(32)
    assert call("GetRNG", 0, 8, buffer) == Status.SUCCESS
    assert guest.bytes_at(buffer, 9) == bytes(range(8)) + b"\xa5"
    assert call("GetRNG", guest.put(RAW), 8, buffer) == Status.SUCCESS
    assert guest.bytes_at(buffer, 8) == bytes(range(8, 16))


def test_what_cannot_be_had(guest, call):
    buffer = guest.room()
    assert call("GetRNG", guest.put(RNG), 8, buffer) == Status.UNSUPPORTED
    assert call("GetRNG", 0, 0, buffer) == Status.INVALID_PARAMETER
    assert call("GetRNG", 0, 8, 0) == Status.INVALID_PARAMETER
    began = time.process_time()
    for size in ((1 << 20) + 1, (1 << 64) - 1):
        assert call("GetRNG", 0, size, buffer) == Status.DEVICE_ERROR
    assert time.process_time() - began < 1
    assert guest.entropy.taken == 0


def test_a_platform_without(power_on):
    guest = power_on(rng=False)
    assert guest.call("LocateProtocol", guest.put(RNG), 0, guest.room()) == Status.NOT_FOUND
