"""EFI_CC_MEASUREMENT_PROTOCOL, as a guest calls it, and the ACPI table beside it."""

import dataclasses
import struct

import pytest

from efi_services import guids
from efi_services.abi import X86_64
from efi_services.protocols.cc_measurement import CcCapability
from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import EventType

NAME = "EFI_CC_MEASUREMENT_PROTOCOL"
ERROR = 1 << 63
INVALID_PARAMETER, BUFFER_TOO_SMALL = ERROR | 2, ERROR | 5
SHA256, SHA384 = Algorithm.SHA256, Algorithm.SHA384


class User:
    def __init__(self, guest):
        self.guest = guest
        self.interface = guest.protocol(guids.CC_MEASUREMENT)
        self.ledger = guest.firmware.measurer.cc

    def call(self, name, *arguments):
        return self.guest.method(NAME, name, self.interface, *arguments)

    def measure(self, index, kind=EventType.EV_IPL, data=b"measured"):
        head = struct.pack("<IIHII", 22, 14, 1, index, kind)
        return self.call("HashLogExtendEvent", 0, self.guest.put(data), len(data), self.guest.put(head + b"said"))


def start(power_on, settings):
    guest = power_on(cc=settings)
    guest.start()
    return User(guest)


@pytest.fixture
def user(power_on, measuring):
    return start(power_on, measuring["cc"])


def test_the_capability_is_laid_out_as_a_compiler_does():
    offsets = [CcCapability.offsetof(X86_64, name) for name in CcCapability.__annotations__]
    assert (offsets, CcCapability.sizeof(X86_64)) == ([0, 1, 3, 8, 12, 16], 20)


@pytest.mark.parametrize(("kind", "algorithm", "bit", "number"), [("tdx", SHA384, 4, 2), ("cca", SHA256, 2, 4)])
def test_capability(power_on, measuring, kind, algorithm, bit, number):
    user = start(power_on, dataclasses.replace(measuring["cc"], kind=kind, algorithms=(algorithm,)))
    at = user.guest.put(bytes([20]) + bytes(19))
    assert user.call("GetCapability", at) == 0
    found = struct.unpack("<5B3xIIBB2x", user.guest.bytes_at(at, 20))
    assert found == (20, 1, 0, 1, 0, bit, 2, number, 0)


def test_too_small_a_capability(user):
    at = user.guest.put(bytes([19]) + bytes(19))
    assert user.call("GetCapability", at) == BUFFER_TOO_SMALL
    assert user.guest.bytes_at(at, 20) == bytes([20]) + bytes(19)


def test_the_log_names_registers(user):
    location, last, truncated = user.guest.room(), user.guest.room(), user.guest.room(1)
    assert user.measure(3) == 0
    assert user.call("GetEventLog", 2, location, last, truncated) == 0
    found = log.decode(user.guest.bytes_at(user.guest.u64(location), 0x10000))
    assert found.algorithms == (SHA384,)
    assert (found.events[-1].index, found.events[-1].digests) == (3, digests((SHA384,), b"measured"))
    assert user.guest.bytes_at(user.guest.u64(last), 4) == b"\3\0\0\0"
    assert user.call("GetEventLog", 1, location, last, truncated) == INVALID_PARAMETER


@pytest.mark.parametrize(("index", "status"), [(0, INVALID_PARAMETER), (1, 0), (4, 0), (5, INVALID_PARAMETER)])
def test_which_registers_can_be_extended(user, index, status):
    before = user.ledger.registers.read()
    assert user.measure(index) == status
    changed = [each for each, value in user.ledger.registers.read().items() if value != before[each]]
    assert changed == ([index] if status == 0 else [])


def test_pcrs_have_registers(user):
    at = user.guest.room(4)
    found = {}
    for pcr in (0, 1, 4, 7, 9, 15, 16, 23, 0xFFFF_FFFF):
        found[pcr] = user.guest.u32(at) if user.call("MapPcrToMrIndex", pcr, at) == 0 else None
    assert found == {0: 0, 1: 1, 4: 2, 7: 1, 9: 3, 15: 3, 16: None, 23: None, 0xFFFF_FFFF: None}


def test_the_kernel_finds_the_log_by_acpi(user):
    guest = user.guest
    root = guest.tables()[guids.ACPI_20_TABLE]
    xsdt = guest.u64(root + 24)
    table = guest.bytes_at(guest.u64(xsdt + 36), 56)
    assert (table[:4], sum(table) & 0xFF) == (b"CCEL", 0)
    kind, sub_type, reserved, size, log_at = struct.unpack("<BBHQQ", table[36:])
    assert (kind, sub_type, reserved) == (2, 0, 0)
    assert (log_at, size) == (user.ledger.areas.log.address, 64 << 10)


def test_there_is_none_without_it(guest):
    assert guest.call("LocateProtocol", guest.put(guids.CC_MEASUREMENT), 0, guest.room()) == ERROR | 14
    assert guids.ACPI_20_TABLE not in guest.tables()
