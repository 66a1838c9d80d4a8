import json

import cbor2
import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from shim.measure.formats.cel import cel_cbor, cel_json, cel_tlv, json_type
from shim.measure.readers import read

WRITERS = {"cel-json": cel_json, "cel-cbor": cel_cbor, "cel-tlv": cel_tlv}
LOCALITY = Event(0, EventType.EV_NO_ACTION, {}, b"StartupLocality\0\x03")


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("kind", ["tpm", "tdx", "cca"])
def test_what_is_written_reads_as_the_same_events(form, kind, boots, mr_boots, wrap):
    measurements = boots() if kind == "tpm" else mr_boots(kind)
    log = read(WRITERS[form](wrap(measurements)))
    assert log.form == form
    assert log.events == measurements.events
    assert log.algorithms == measurements.algorithms
    assert log.confidential is (kind != "tpm")


@pytest.mark.parametrize("form", WRITERS)
def test_an_event_that_extends_nothing_has_no_digests(form, boots, wrap):
    pcrs = boots()
    with_locality = type(pcrs)("tpm", pcrs.algorithms, (LOCALITY, *pcrs.events))
    log = read(WRITERS[form](wrap(with_locality)))
    assert log.events[0] == LOCALITY
    assert log.registers() == with_locality.registers()


def test_json_has_a_record_for_each_event_counted_by_register(measured):
    records = json.loads(cel_json(measured))
    assert [each["recnum"] for each in records if each["pcr"] == 9] == [0, 1]
    first = records[0]
    event = measured.set_of("tpm").events[0]
    assert first["content_type"] == "pcclient_std"
    assert first["content"] == {"event_type": "EV_EFI_VARIABLE_DRIVER_CONFIG", "event_data": event.data.hex()}
    assert first["digests"][1] == {"hashAlg": "sha256", "digest": event.digests[Algorithm.SHA256].hex()}


def test_a_type_without_a_name_is_a_number():
    assert json_type(0x8000_0001) == "EV_EFI_VARIABLE_DRIVER_CONFIG"
    assert json_type(0x12345) == 0x12345


def test_cbor_has_the_keys_of_the_specification(measured):
    first = cbor2.loads(cel_cbor(measured))[0]
    event = measured.set_of("tpm").events[0]
    assert first[0] == 0
    assert first[1] == 7
    assert first[3][1] == {0: 0xB, 1: event.digests[Algorithm.SHA256]}
    assert first[9] == 5
    assert first[10] == {0: event.type, 1: event.data}


def test_tlv_has_its_lengths_in_network_order(measured):
    data = cel_tlv(measured)
    assert data[:19] == bytes.fromhex("00 00000008 0000000000000000 01 00000001 07")
    # Digests: each of the four with a head of five bytes.
    assert data[19:24] == bytes([3]) + (4 * 5 + 20 + 32 + 48 + 64).to_bytes(4, "big")


def test_registers_of_confidential_computing_are_named(mr_boots, wrap):
    assert all("ccmr" in each for each in json.loads(cel_json(wrap(mr_boots()))))
    assert cel_tlv(wrap(mr_boots()))[13] == 108
