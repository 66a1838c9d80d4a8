"""Registers and logs in step, without a firmware."""

import pytest

from efi_services.platform import Measuring, PlatformError
from efi_services.status import EfiError, Status
from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.area import FinalEvents, LogArea
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.ledger import FORMAT_1_2, FORMAT_2, Areas, Ledger, MeasurementRegisters

SHA384 = Algorithm.SHA384


class Memory:
    def __init__(self):
        self.data = bytearray(0x3000)

    def write(self, address, data):
        self.data[address : address + len(data)] = data

    def fill(self, address, size, value):
        self.write(address, bytes([value]) * size)


@pytest.fixture
def tdx():
    memory = Memory()
    ledger = Ledger(Measuring("tdx", (SHA384,), header_index=1), (SHA384,), MeasurementRegisters(SHA384))
    ledger.begin(Areas(LogArea(memory, 0x1000, 0x1000), FinalEvents(memory, 0x2000, 0x100), None))
    return ledger, memory


def event(index=2, data=b"data"):
    return Event(index, EventType.EV_IPL, digests((SHA384,), data), data)


def test_a_header_is_no_entry(tdx):
    ledger, memory = tdx
    assert ledger.find(FORMAT_2) == (0x1000, 0, False)
    assert log.decode(bytes(memory.data[0x1000:0x2000])).header_index == 1


def test_where_the_last_entry_is(tdx):
    ledger, _ = tdx
    ledger.write(event())
    ledger.write(event(3))
    head = len(log.header((SHA384,)))
    assert ledger.find(FORMAT_2)[1] == 0x1000 + head + len(log.encode_event(event(), (SHA384,)))


def test_there_is_one_form_only(tdx):
    ledger, _ = tdx
    assert ledger.formats == FORMAT_2
    for form in (FORMAT_1_2, 0, 3, 4):
        with pytest.raises(EfiError) as why:
            ledger.find(form)
        assert why.value.status == Status.INVALID_PARAMETER


def test_which_registers_can_be_extended(tdx):
    ledger, _ = tdx
    assert [index for index in range(10) if ledger.can_extend(index)] == [1, 2, 3, 4]
    assert (ledger.index_of(0), ledger.index_of(9), ledger.index_of(20)) == (0, 3, None)
    assert ledger.separated == (2,)
    ledger.extend(event())
    assert ledger.registers.read()[2] == {SHA384: SHA384.extend(bytes(48), SHA384.digest(b"data"))}


def test_final_events_without_room(tdx):
    ledger, _ = tdx
    ledger.find(FORMAT_2)
    ledger.write(event())
    with pytest.raises(EfiError) as why:
        ledger.write(event(data=bytes(200)))
    assert why.value.status == Status.VOLUME_FULL
    assert len(ledger.events) == 2, "the log itself had room"


def test_what_the_platform_knows_is_not_unknown():
    known = {0: {SHA384: b"m" * 48, Algorithm.SHA256: b"x" * 32}}
    ledger = Ledger(Measuring("tdx", (SHA384,), known=known), (SHA384,), MeasurementRegisters(SHA384))
    assert ledger.unknown == (1,)
    assert ledger.known == {0: {SHA384: b"m" * 48}}


def test_it_has_to_be_known_in_each_bank():
    known = {2: {SHA384: b"m" * 48}}
    with pytest.raises(PlatformError, match="register 2 is not known by sha1"):
        Ledger(Measuring("tpm", (SHA384,), known=known), (Algorithm.SHA1, SHA384), MeasurementRegisters(SHA384))
