import pytest

from efi_services.dispatch import RunEnds
from efi_services.status import Status

NAME = "EFI_SIMPLE_TEXT_INPUT_PROTOCOL"


def test_nobody_presses_a_key(guest):
    interface = guest.u64(guest.firmware.system_table + 48)
    assert guest.method(NAME, "Reset", interface, 0) == Status.SUCCESS
    key = guest.room()
    assert guest.method(NAME, "ReadKeyStroke", interface, key) == Status.NOT_READY
    assert guest.bytes_at(key, 8) == b"\xa5" * 8
    assert guest.method(NAME, "ReadKeyStroke", interface, 0) == Status.INVALID_PARAMETER


def test_waiting_for_a_key_is_waiting_for_ever(guest):
    event = guest.u64(guest.u64(guest.firmware.system_table + 48) + 16)
    assert guest.call("CheckEvent", event) == Status.NOT_READY
    with pytest.raises(RunEnds) as ended:
        guest.call("WaitForEvent", 1, guest.put(event), guest.room())
    assert ended.value.kind == "budget"
