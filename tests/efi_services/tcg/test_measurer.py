"""The firmware as it measures: into which registers, into which logs, and whom it tells."""

import dataclasses
import struct

import pytest

from efi_services import guids
from efi_services.memory_map import MemoryType
from efi_services.platform import PlatformError
from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.ledger import FORMAT_1_2, FORMAT_2
from efi_services.tcg.registers import replay

SHA1, SHA256, SHA384 = Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384


@pytest.fixture
def both(power_on, measuring):
    """A payload on a machine with a TPM and TDX."""
    guest = power_on(**measuring)
    guest.start()
    return guest


def log_in_memory(guest, ledger):
    area = ledger.areas.log
    return log.decode(guest.bytes_at(area.address, area.size))


def test_without_anything_to_measure_with_there_is_nothing(power_on):
    guest = power_on()
    guest.start()
    assert guest.firmware.measurer.ledgers == ()
    assert guest.observer.extensions == []
    assert guids.TCG2_FINAL_EVENTS_TABLE not in guest.tables()


def test_registers_are_what_the_logs_come_to(both):
    measurer = both.firmware.measurer
    assert [each.kind for each in measurer.ledgers] == ["tpm", "tdx"]
    for ledger in measurer.ledgers:
        found = log_in_memory(both, ledger)
        assert list(found.events) == ledger.events
        assert found.algorithms == ledger.algorithms
        held = ledger.registers.read()
        for index, values in replay(ledger.events, ledger.algorithms).items():
            assert held[index] == values


def test_the_observer_hears_of_every_register(both):
    tpm = [each for each in both.observer.extensions if each.kind == "tpm"]
    assert [(each.index, each.digests) for each in tpm] == [
        (each.index, each.digests) for each in both.firmware.measurer.tpm.events
    ]
    assert {each.description for each in tpm} >= {"SecureBoot", "separator"}


def test_pcrs_are_mapped_to_registers(both):
    measurer = both.firmware.measurer
    before = len(measurer.cc.events)
    measurer.measure(9, EventType.EV_IPL, b"hashed", b"data")
    measurer.measure(17, EventType.EV_IPL, b"hashed")
    measurer.measure(0, EventType.EV_IPL, b"hashed")
    assert measurer.cc.events[before:] == [Event(3, EventType.EV_IPL, digests((SHA384,), b"hashed"), b"data")]


def test_final_events_are_those_after_somebody_asked(both):
    measurer = both.firmware.measurer
    at = both.tables()[guids.TCG2_FINAL_EVENTS_TABLE]
    measurer.measure(9, EventType.EV_IPL, b"before")
    measurer.tpm.find(FORMAT_1_2)
    measurer.measure(9, EventType.EV_IPL, b"of the other form")
    assert struct.unpack("<QQ", both.bytes_at(at, 16)) == (1, 0)
    measurer.tpm.find(FORMAT_2)
    measurer.measure(9, EventType.EV_IPL, b"after")
    assert struct.unpack("<QQ", both.bytes_at(at, 16)) == (1, 1)
    entry = log.encode_event(measurer.tpm.events[-1], measurer.tpm.algorithms)
    assert both.bytes_at(at + 16, len(entry) + 1) == entry + b"\xff"
    assert log_in_memory(both, measurer.tpm).events[-1].data == b"after"
    cc = both.tables()[guids.CC_FINAL_EVENTS_TABLE]
    assert struct.unpack("<QQ", both.bytes_at(cc, 16)) == (1, 0)


def test_logs_survive_boot_services(both):
    kept = [(start, start + 4096 * pages) for kind, start, pages, _ in both.memory_types() if kind == 10]
    measurer = both.firmware.measurer
    places = [each.areas.log.address for each in measurer.ledgers] + [measurer.tpm.areas.old.address]
    places += [each.areas.final.address for each in measurer.ledgers]
    assert MemoryType.ACPIMemoryNVS == 10
    assert all(any(start <= at < end for start, end in kept) for at in places)


def test_the_older_form_is_there_with_sha1_only(both, power_on, measuring):
    area = both.firmware.measurer.tpm.areas.old
    found = log.decode(both.bytes_at(area.address, area.size))
    assert [each.digests for each in found.events] == [
        {SHA1: each.digests[SHA1]} for each in both.firmware.measurer.tpm.events
    ]
    only = dataclasses.replace(measuring["tpm"], algorithms=(SHA256,))
    assert power_on(tpm=only).firmware.measurer.tpm.areas.old is None


def test_a_log_without_room_is_truncated_and_registers_go_on(power_on, measuring):
    guest = power_on(tpm=dataclasses.replace(measuring["tpm"], log_bytes=4096))
    measurer = guest.firmware.measurer
    measurer.measure(9, EventType.EV_IPL, bytes(4096))
    measurer.measure(9, EventType.EV_IPL, b"small")
    assert measurer.tpm.find(FORMAT_2)[2]
    assert [kind for kind, _ in guest.observer.findings] == ["measurement-failed"] * 2
    value = bytes(32)
    for data in (bytes(4096), b"small"):
        value = SHA256.extend(value, SHA256.digest(data))
    assert measurer.tpm.registers.read()[9][SHA256] == value
    assert all(each.index != 9 for each in measurer.tpm.events)


def test_events_that_only_inform_extend_nothing(both):
    measurer = both.firmware.measurer
    before, heard = measurer.tpm.registers.read(), len(both.observer.extensions)
    measurer.log_extend(measurer.tpm, Event(0, EventType.EV_NO_ACTION, {}, b"said"))
    assert measurer.tpm.registers.read() == before
    assert len(both.observer.extensions) == heard
    assert log_in_memory(both, measurer.tpm).events[-1].digests == {SHA1: bytes(20), SHA256: bytes(32)}


def test_what_nobody_knows_is_unknown_unless_the_platform_tells(both, power_on, measuring):
    assert both.firmware.measurer.tpm.unknown == (0, 2)
    assert both.firmware.measurer.cc.unknown == (0, 1)
    event = Event(0, EventType.EV_S_CRTM_VERSION, {}, b"1\0.\0")
    measurer = power_on(tpm=dataclasses.replace(measuring["tpm"], events=(event,))).firmware.measurer
    assert measurer.tpm.unknown == (2,)
    assert measurer.tpm.events[0] == dataclasses.replace(event, digests=digests((SHA1, SHA256), event.data))


class Broken:
    """A TPM that answers everything with a failure, from some moment on."""

    def __init__(self, tpm):
        self.tpm, self.works = tpm, True

    def transmit(self, command, locality=0):
        return self.tpm.transmit(command, locality) if self.works else b"\x80\1\0\0\0\x0a\0\0\1\1"


def test_a_tpm_that_fails_is_not_used_again(power_on, measuring, new_driver):
    broken = Broken(new_driver(SHA256).tpm)
    guest = power_on(transport=broken, tpm=measuring["tpm"])
    ledger = guest.firmware.measurer.tpm
    assert ledger.algorithms == (SHA256,), "an outside TPM has its own banks"
    broken.works = False
    guest.start()
    assert not ledger.present
    assert ledger.find(FORMAT_2) == (0, 0, False)
    assert {kind for kind, _ in guest.observer.findings} == {"measurement-failed"}
    assert [each.index for each in ledger.events] == [7] * 6


def test_a_tpm_that_is_broken_from_the_start_is_the_platforms_fault(power_on, measuring, new_driver):
    broken = Broken(new_driver(SHA256).tpm)
    broken.works = False
    with pytest.raises(PlatformError, match="TPM_RC 0x101"):
        power_on(transport=broken, tpm=measuring["tpm"])
