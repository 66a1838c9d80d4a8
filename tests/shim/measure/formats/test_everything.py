import json

from efi_services.tcg.algorithms import Algorithm
from shim.measure.formats.everything import everything


def test_all_is_there_under_its_keys(measured):
    found = json.loads(everything(measured))
    assert list(found) == ["schema", "name", "version", "sha256", "profile", "sets"]
    assert found["schema"] == "efi-shim/measured/1"
    tpm, tdx = found["sets"]
    assert list(tpm) == [
        "kind",
        "algorithms",
        "dynamic",
        "unknown",
        "given",
        "notes",
        "events",
        "registers",
        "boot_aggregate",
    ]
    assert (tpm["kind"], tdx["kind"]) == ("tpm", "tdx")
    assert tpm["unknown"] == [0, 2]
    event = tpm["events"][17]
    assert event["number"] == 17
    assert event["register"] == "PCR 9"
    assert event["type"] == "EV_EVENT_TAG"
    assert event["type_number"] == 6
    assert event["fields"] == {"tag": "0x8f3b22ed", "text": "LOADED_IMAGE::LoadOptions"}
    assert bytes.fromhex(event["data"]) == measured.set_of("tpm").events[17].data
    registers = {each["register"]: each["values"] for each in tpm["registers"]}
    assert registers["PCR 9"]["sha256"] == measured.set_of("tpm").registers()[9][Algorithm.SHA256].hex()
    assert [each["register"] for each in tdx["registers"]] == ["RTMR2"]
    assert tpm["boot_aggregate"] == tdx["boot_aggregate"] == {}


def test_the_same_measurements_are_the_same_bytes(measured):
    assert everything(measured) == everything(measured)
    assert everything(measured).endswith(b"}\n")
