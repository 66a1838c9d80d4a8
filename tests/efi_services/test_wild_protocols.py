"""Protocols that a payload installs with wild pointers, or with what they are not."""

import time

import pytest

from efi_services import guids
from efi_services.device_path import END
from efi_services.dispatch import RunEnds

LAST = (1 << 64) - 1
#: Seconds of the host that one call may take.
PATIENCE = 2


def how_it_ends(guest, name, *arguments):
    """None where a call returns, the kind of the run's end, or that the CPU goes where nothing is, and faults there."""
    began = time.process_time()
    try:
        guest.call(name, *arguments)
    except RunEnds as ended:
        return ended.kind
    except AssertionError as where:
        assert "went to" in str(where)  # noqa: PT017
        return "fault"
    finally:
        assert time.process_time() - began < PATIENCE
    return None


def put_path(guest, *, end):
    """A long path, with an end or without."""
    node = b"\x04\x04\x08\x00a\0\0\0"
    return guest.put(node * (0x1000 // len(node)) + (END if end else b"\x04\x04\xff\xff"))


@pytest.mark.parametrize("interface", [0, LAST - 7, 1 << 63, "endless", "garbage"])
@pytest.mark.parametrize(
    "protocol",
    [
        guids.DEVICE_PATH, guids.LOADED_IMAGE, guids.LOADED_IMAGE_DEVICE_PATH, guids.LOAD_FILE, guids.LOAD_FILE2,
        guids.SIMPLE_FILE_SYSTEM, guids.BLOCK_IO, guids.DRIVER_BINDING, guids.SECURITY_ARCH,
    ],
)  # fmt: skip
def test_each_service_that_looks_one_up_answers_or_the_run_faults(power_on, protocol, interface):
    guest = power_on()
    guest.start()
    places = {"path": put_path(guest, end=True), "endless": put_path(guest, end=False), "garbage": guest.room(64)}
    where = places.get(interface, interface)
    name, path, out, at = guest.put(protocol), guest.put(places["path"]), guest.room(), guest.put(0)
    assert how_it_ends(guest, "InstallProtocolInterface", at, name, 0, where) in (None, "fault")
    handle = guest.u64(at)
    calls = (
        ("LoadImage", 0, guest.payload, places["path"], 0, 0, out),
        ("LoadImage", 1, guest.payload, places["endless"], 0, 0, out),
        ("LoadImage", 1, handle, places["path"], 0, 0, out),
        ("LocateDevicePath", name, path, out),
        ("ConnectController", handle, 0, 0, 1),
        ("DisconnectController", handle, 0, 0),
        ("OpenProtocol", handle, name, out, guest.payload, 0, 2),
        ("StartImage", handle, 0, 0),
        ("UnloadImage", handle),
        ("Exit", handle, 0, 0, 0),
        ("Stall", 1),
        ("UninstallProtocolInterface", handle, name, where),
    )
    for service, *arguments in calls:
        assert how_it_ends(guest, service, *arguments) in (None, "fault")
        guest.firmware.dispatcher.abandon()
