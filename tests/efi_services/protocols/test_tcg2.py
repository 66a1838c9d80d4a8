"""EFI_TCG2_PROTOCOL, as a guest calls it."""

import dataclasses
import hashlib
import struct

import pytest

from efi_services import guids
from efi_services.abi import X86_64
from efi_services.protocols.tcg2 import Tcg2Capability
from efi_services.tcg import commands, log
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.commands import Code
from efi_services.tcg.events import EventType

NAME = "EFI_TCG2_PROTOCOL"
ERROR = 1 << 63
INVALID_PARAMETER, UNSUPPORTED, BUFFER_TOO_SMALL, DEVICE_ERROR, VOLUME_FULL = (ERROR | n for n in (2, 3, 5, 7, 11))
SHA1, SHA256 = Algorithm.SHA1, Algorithm.SHA256


def event(data=b"said", pcr=9, kind=EventType.EV_IPL, size=None, header_size=14):
    return struct.pack("<IIHII", 18 + len(data) if size is None else size, header_size, 1, pcr, kind) + data


class User:
    """Calls the protocol's methods on one machine."""

    def __init__(self, guest):
        self.guest = guest
        self.interface = guest.protocol(guids.TCG2)
        self.ledger = guest.firmware.measurer.tpm

    def call(self, name, *arguments):
        return self.guest.method(NAME, name, self.interface, *arguments)

    def measure(self, data=b"measured", flags=0, **fields):
        return self.call("HashLogExtendEvent", flags, self.guest.put(data), len(data), self.guest.put(event(**fields)))

    def value(self, pcr, algorithm=SHA256):
        return self.ledger.registers.read()[pcr][algorithm]

    def submit(self, command, room=512):
        out = self.guest.room(room)
        status = self.call("SubmitCommand", len(command), self.guest.put(command), room, out)
        return status, self.guest.bytes_at(out, room)


@pytest.fixture
def user(power_on, measuring):
    guest = power_on(tpm=measuring["tpm"])
    guest.start()
    return User(guest)


def test_there_is_none_without_a_tpm(guest):
    assert guest.call("LocateProtocol", guest.put(guids.TCG2), 0, guest.room()) == ERROR | 14


def test_the_capability_is_laid_out_as_a_compiler_does():
    offsets = [Tcg2Capability.offsetof(X86_64, name) for name in Tcg2Capability.__annotations__]
    assert offsets == [0, 1, 3, 8, 12, 16, 18, 20, 24, 28, 32]
    assert Tcg2Capability.sizeof(X86_64) == 36


def test_capability(user):
    at = user.guest.put(bytes([36]) + bytes(35))
    assert user.call("GetCapability", at) == 0
    found = struct.unpack("<B4B3xIIBxHH2xIII", user.guest.bytes_at(at, 36))
    manufacturer = int.from_bytes(b"SHIM", "big")
    assert found == (36, 1, 1, 1, 1, 0xF, 3, 1, 4096, 4096, manufacturer, 4, 3)


def test_who_knows_version_1_0_gets_that(user):
    at = user.guest.put(bytes([30]) + b"\xee" * 40)
    assert user.call("GetCapability", at) == 0
    assert user.guest.bytes_at(at, 5) == bytes([28, 1, 0, 1, 0])
    assert user.guest.bytes_at(at + 28, 12) == b"\xee" * 12


@pytest.mark.parametrize("size", [0, 1, 27])
def test_too_small_a_capability_is_told_its_size(user, size):
    at = user.guest.put(bytes([size]) + b"\xee" * 40)
    assert user.call("GetCapability", at) == BUFFER_TOO_SMALL
    assert user.guest.bytes_at(at, 41) == bytes([36]) + b"\xee" * 40


def test_both_logs(user):
    for form in (1, 2):
        location, last, truncated = user.guest.room(), user.guest.room(), user.guest.room(1)
        assert user.call("GetEventLog", form, location, last, truncated) == 0
        start = user.guest.u64(location)
        found = log.decode(user.guest.bytes_at(start, 0x10000))
        assert found.crypto_agile == (form == 2)
        assert len(found.events) == len(user.ledger.events)
        encode = log.encode_event(user.ledger.events[-1], found.algorithms)
        if form == 1:
            encode = log.encode_old_event(user.ledger.events[-1])
        assert user.guest.u64(last) == start + found.size - len(encode)
        assert user.guest.bytes_at(truncated, 1) == b"\0"
    assert user.call("GetEventLog", 2, 0, 0, 0) == 0


@pytest.mark.parametrize("form", [0, 3, 4])
def test_other_forms_there_are_none(user, form):
    assert user.call("GetEventLog", form, user.guest.room(), user.guest.room(), user.guest.room()) == INVALID_PARAMETER


def test_the_older_form_needs_sha1(power_on, measuring):
    guest = power_on(tpm=dataclasses.replace(measuring["tpm"], algorithms=(SHA256,)))
    guest.start()
    user = User(guest)
    assert user.call("GetEventLog", 1, guest.room(), guest.room(), guest.room()) == INVALID_PARAMETER
    at = guest.put(bytes([36]) + bytes(35))
    user.call("GetCapability", at)
    assert guest.u32(at + 12) == 2


def test_measuring(user):
    assert user.measure() == 0
    made = user.ledger.events[-1]
    assert (made.index, made.type, made.data) == (9, EventType.EV_IPL, b"said")
    assert made.digests == digests((SHA1, SHA256), b"measured")
    assert user.value(9) == SHA256.extend(bytes(32), SHA256.digest(b"measured"))
    heard = user.guest.observer.extensions[-1]
    assert (heard.kind, heard.index, heard.type, heard.description) == ("tpm", 9, "EV_IPL", "said")


def test_extending_without_a_log(user):
    before = list(user.ledger.events)
    assert user.measure(flags=1) == 0
    assert user.ledger.events == before
    assert user.value(9) != bytes(32)


def test_an_image_by_its_authenticode(user):
    assert user.measure(b"MZimage", flags=0x10) == 0
    assert user.ledger.events[-1].digests[SHA256] == hashlib.sha256(b"image").digest()


def test_what_is_no_image(user):
    before = user.value(9)
    assert user.measure(b"text", flags=0x10) == UNSUPPORTED
    assert user.value(9) == before


def test_events_that_only_inform(user):
    made = user.guest.put(event(kind=EventType.EV_NO_ACTION, pcr=0))
    before = user.value(0)
    assert user.call("HashLogExtendEvent", 0, 0, 0, made) == 0
    assert user.ledger.events[-1].type == EventType.EV_NO_ACTION
    assert user.value(0) == before


@pytest.mark.parametrize(
    "fields", [{"size": 17}, {"size": 0}, {"pcr": 24}, {"pcr": 0xFFFF_FFFF}, {"header_size": 0x100}]
)
def test_events_that_make_no_sense(user, fields):
    count = len(user.ledger.events)
    assert user.measure(**fields) == INVALID_PARAMETER
    assert len(user.ledger.events) == count


def test_null_is_refused(user):
    assert user.call("HashLogExtendEvent", 0, 0, 8, user.guest.put(event())) == INVALID_PARAMETER
    assert user.call("HashLogExtendEvent", 0, user.guest.put(b"x"), 1, 0) == INVALID_PARAMETER
    assert user.call("GetCapability", 0) == INVALID_PARAMETER
    assert user.call("GetActivePcrBanks", 0) == INVALID_PARAMETER
    assert user.call("GetResultOfSetActivePcrBanks", 0, user.guest.room()) == INVALID_PARAMETER


def test_a_full_log_says_so_and_the_register_is_extended(power_on, measuring):
    guest = power_on(tpm=dataclasses.replace(measuring["tpm"], log_bytes=4096))
    guest.start()
    user = User(guest)
    assert user.measure() == 0
    big = guest.put(event(data=bytes(4096)))
    before = user.value(9)
    assert user.call("HashLogExtendEvent", 0, guest.put(b"x"), 1, big) == VOLUME_FULL
    assert user.value(9) == SHA256.extend(before, SHA256.digest(b"x"))
    truncated = guest.room(1)
    user.call("GetEventLog", 2, 0, 0, truncated)
    assert guest.bytes_at(truncated, 1) == b"\1"


def test_commands_go_to_the_tpm(user):
    status, response = user.submit(commands.command(Code.GET_RANDOM, b"\0\4"))
    assert (status, response[:12]) == (0, bytes.fromhex("8001 00000010 00000000 0004"))


def test_a_command_that_extends_is_seen_and_in_no_log(user):
    values = commands.digest_values(digests(tuple(Algorithm), b"x"))
    count = len(user.ledger.events)
    status, _ = user.submit(commands.command(Code.PCR_EXTEND, values, (12,), passwords=1))
    assert status == 0
    heard = user.guest.observer.extensions[-1]
    assert (heard.index, heard.type, heard.digests) == (12, "TPM2_PCR_Extend", digests((SHA1, SHA256), b"x"))
    assert len(user.ledger.events) == count


@pytest.mark.parametrize(("size", "room"), [(0, 64), (12, 0), (4097, 64), (12, 4097)])
def test_blocks_of_impossible_sizes(user, size, room):
    given = user.guest.put(commands.command(Code.GET_RANDOM, b"\0\4"))
    assert user.call("SubmitCommand", size, given, room, user.guest.room(16)) == INVALID_PARAMETER


def test_an_answer_without_room(user):
    status, answer = user.submit(commands.command(Code.GET_RANDOM, b"\0\4"), room=15)
    assert (status, answer) == (BUFFER_TOO_SMALL, b"\xa5" * 15)


def test_banks(user):
    at = user.guest.room(4)
    assert user.call("GetActivePcrBanks", at) == 0
    assert user.guest.u32(at) == 3
    for banks, status in ((0, INVALID_PARAMETER), (0x10, INVALID_PARAMETER), (0x13, INVALID_PARAMETER), (2, 0), (3, 0)):
        assert user.call("SetActivePcrBanks", banks) == status
    user.call("GetActivePcrBanks", at)
    assert user.guest.u32(at) == 3, "what was asked for is for the next boot"
    present, response = user.guest.room(4), user.guest.room(4)
    assert user.call("GetResultOfSetActivePcrBanks", present, response) == 0
    assert (user.guest.u32(present), user.guest.u32(response)) == (0, 0)


def test_a_failed_tpm_is_absent(user):
    user.ledger.present = False
    assert user.measure() == DEVICE_ERROR
    assert user.submit(commands.command(Code.GET_RANDOM, b"\0\4"))[0] == DEVICE_ERROR
    location = user.guest.room()
    assert user.call("GetEventLog", 2, location, 0, 0) == 0
    assert user.guest.u64(location) == 0
