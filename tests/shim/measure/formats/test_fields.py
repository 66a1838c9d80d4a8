import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from shim.measure.formats.explain import contradicts
from shim.measure.formats.fields import SELF_HASHED, describe, fields, text_of


def event(kind, data):
    return Event(4, kind, {}, data)


def test_a_boot_is_told_in_words(boots):
    said = [describe(each) for each in boots().events]
    assert said[:3] == ["SecureBoot", "PK", "KEK"]
    assert said[6:9] == ["BootOrder", "Boot0000", "Calling EFI Application from Boot Option"]
    assert "kernel" in said[16]
    assert said[17:] == [
        "LOADED_IMAGE::LoadOptions",
        "Linux initrd",
        "Exit Boot Services Invocation",
        "Exit Boot Services Returned with Success",
    ]


def test_variables_images_and_tags_have_their_fields(boots):
    events = boots().events
    assert fields(events[0]) == {
        "variable": "SecureBoot",
        "vendor": "8be4df61-93ca-11d2-aa0d-00e098032b8c",
        "value": "00",
    }
    image = fields(events[16])
    assert image["length"] == "12000000"
    assert image["location"] == "0x7e000000"
    assert fields(events[17])["tag"] == "0x8f3b22ed"


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (EventType.EV_SEPARATOR, b"\1\0\0\0", {"separator": "0x00000001", "meaning": "an error"}),
        (EventType.EV_SEPARATOR, b"WBCL", {"separator": "0x4c434257", "meaning": "unknown"}),
        (EventType.EV_IPL, ".linux\0".encode("utf-16-le"), {"text": ".linux"}),
        (EventType.EV_IPL, b"grub_cmd: boot\0", {"text": "grub_cmd: boot"}),
        (EventType.EV_IPL, b"\x80\x81", {}),
        (EventType.EV_NO_ACTION, b"StartupLocality\0\3", {"startup_locality": "3"}),
        (
            EventType.EV_EFI_GPT_EVENT,
            bytes(92) + struct.pack("<Q", 2),
            {"disk": "00000000-0000-0000-0000-000000000000", "partitions": "2"},
        ),
        (
            EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB,
            struct.pack("<QQ", 0x82_0000, 0xE_0000),
            {"base": "0x820000", "size": "0xe0000"},
        ),
        (EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB, bytes(15), {}),
        (
            EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2,
            b"\5DXE\n\0" + struct.pack("<QQ", 1, 2),
            {"text": "DXE?", "base": "0x1", "size": "0x2"},
        ),
        (EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2, b"", {}),
        (EventType.EV_PLATFORM_CONFIG_FLAGS, b"ACPI DATA", {"text": "ACPI DATA"}),
        (EventType.EV_EVENT_TAG, b"\1\0\0\0\xff\0\0\0", {}),
        (EventType.EV_EFI_VARIABLE_BOOT, bytes(16) + b"\xff" * 16, {}),
        (EventType.EV_EFI_BOOT_SERVICES_APPLICATION, bytes(24) + b"\1" + bytes(7), {}),
        (0x12345, b"anything", {}),
    ],
)
def test_what_data_says(kind, data, expected):
    assert fields(event(kind, data)) == expected


@given(st.sampled_from(EventType), st.binary(max_size=120))
def test_any_data_says_something_in_one_line_or_nothing(kind, data):
    said = event(kind, data)
    assert all(value.isprintable() for value in fields(said).values())
    assert describe(said).isprintable()


def test_text_is_what_a_boot_could_mean():
    assert text_of(b"ab") == "ab"
    assert text_of(b"a\0b\0\0\0") == "ab"
    assert text_of("č".encode("utf-16-le")) is None
    assert text_of(b"") is None
    assert text_of(b"a\nb") is None


def test_a_boot_does_not_contradict_itself(boots):
    events = boots().events
    assert not any(contradicts(each) for each in events)
    assert {each.type for each in events} & SELF_HASHED
    assert contradicts(Event(7, EventType.EV_SEPARATOR, {Algorithm.SHA256: bytes(32)}, bytes(4)))
