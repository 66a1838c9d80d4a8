"""Events in words; their data is anybody's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services import guids
from efi_services.device_path import END, file_path
from efi_services.tcg.description import describe
from efi_services.tcg.events import EventType, image_load_event, tagged_event, variable_data


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (EventType.EV_EFI_VARIABLE_BOOT, variable_data(guids.GLOBAL_VARIABLE, "Boot0001", b"x"), "Boot0001"),
        (
            EventType.EV_EFI_BOOT_SERVICES_APPLICATION,
            image_load_event(0, 1, 2, file_path("\\a") + END),
            "FilePath(\\a)",
        ),
        (EventType.EV_SEPARATOR, bytes(4), "separator"),
        (EventType.EV_SEPARATOR, b"\1\0\0\0", "separator 01000000"),
        (EventType.EV_EVENT_TAG, tagged_event(0x8F3B22EC, b"Linux initrd\0"), "Linux initrd"),
        (EventType.EV_EVENT_TAG, tagged_event(7, b""), "tag 0x7"),
        (EventType.EV_IPL, ".linux\0".encode("utf-16-le"), ".linux"),
        (EventType.EV_EFI_ACTION, b"Calling", "Calling"),
        (EventType.EV_POST_CODE, b"\xff\0\1", "ff0001"),
        (EventType.EV_EFI_VARIABLE_BOOT, bytes(16) + b"\xff" * 16, (bytes(16) + b"\xff" * 16).hex()),
    ],
)
def test_words(kind, data, words):
    assert describe(kind, data) == words


@given(st.sampled_from([int(each) for each in EventType]), st.binary(max_size=300))
def test_any_data_gives_one_short_line(kind, data):
    words = describe(kind, data)
    assert len(words) <= 200
    assert words.isprintable()
