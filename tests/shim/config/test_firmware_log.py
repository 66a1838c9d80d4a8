"""What a machine's log tells of its firmware."""

import pytest

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.log import LogError, encode
from shim.config.firmware_log import events_of

BANKS = (Algorithm.SHA1, Algorithm.SHA256)


def log(*events):
    """Of (register, type, data)."""
    return encode([Event(index, kind, digests(BANKS, data), data) for index, kind, data in events], BANKS)


VERSION = (0, EventType.EV_S_CRTM_VERSION, b"v1")
LOCALITY = (0, EventType.EV_NO_ACTION, b"StartupLocality\0\3")
VOLUME = (0, EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB, b"volume")
ROM = (2, EventType.EV_EFI_BOOT_SERVICES_DRIVER, b"rom")
KERNEL = (4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION, b"kernel")
SEPARATORS = tuple((pcr, EventType.EV_SEPARATOR, bytes(4)) for pcr in range(8))


def test_events_of_the_firmwares_own_registers_up_to_ours():
    found = events_of(log(LOCALITY, VERSION, ROM, VOLUME, *SEPARATORS, KERNEL), (0, 2), "pcr")
    assert [(each["pcr"], each["type"], bytes.fromhex(each["data"])) for each in found] == [VERSION, ROM, VOLUME]
    assert found[0]["digests"] == {each.label: each.digest(b"v1").hex() for each in BANKS}


def test_an_event_behind_ours_can_not_be_placed():
    late = (2, EventType.EV_EFI_BOOT_SERVICES_DRIVER, b"late")
    with pytest.raises(ValueError, match="event 9, EV_EFI_BOOT_SERVICES_DRIVER, comes when"):
        events_of(log(VERSION, *SEPARATORS, late), (0, 2), "pcr")


def test_a_log_without_any():
    with pytest.raises(ValueError, match="no event of the firmware's own"):
        events_of(log(*SEPARATORS, KERNEL), (0, 2), "pcr")


def test_no_log():
    with pytest.raises(LogError):
        events_of(b"no log at all, but text that is long enough for a head", (0, 2), "pcr")
