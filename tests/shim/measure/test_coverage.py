"""Which inputs some register covers."""

import pytest

from efi_services.guids import GLOBAL_VARIABLE
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType, variable_data
from efi_services.tcg.piece import piece
from shim.measure import coverage as module
from shim.measure.consumed import Consumed
from shim.measure.coverage import coverage
from shim.measure.model import Measurements

SHA256 = Algorithm.SHA256
SECURE_BOOT = variable_data(GLOBAL_VARIABLE, "SecureBoot", b"\0")


@pytest.fixture
def covered(monkeypatch, wrap):
    """What covers each of the inputs, by their names."""

    def covers(inputs, *sets):
        found = [each if isinstance(each, Consumed) else Consumed(each, None) for each in inputs]
        monkeypatch.setattr(module, "consumed", lambda _run: found)
        return {each.consumed.piece.name: each.by for each in coverage(None, wrap(*sets))}

    return covers


def one(event, kind="tpm", algorithms=(SHA256,)):
    return Measurements(kind, algorithms, (event,))


def test_a_boot(covered, boots, mr_boots):
    options = "console=ttyS0 quiet\0".encode("utf-16-le")
    inputs = [
        piece("payload", b"file"),
        piece("command line", b"quiet"),
        piece("payload image", b"Authenticode of kernel"),
        piece("initrd", b"initrd"),
        piece("load options", options, 0x1000),
        piece("random bytes", b"12345678", 0x2000),
    ]
    assert covered(inputs, boots(), mr_boots()) == {
        "payload image": (
            "tpm 4, event 16, EV_EFI_BOOT_SERVICES_APPLICATION",
            "tdx 2, event 15, EV_EFI_BOOT_SERVICES_APPLICATION",
        ),
        "initrd": ("tpm 9, event 18, EV_EVENT_TAG", "tdx 3, event 17, EV_EVENT_TAG"),
        "load options": ("tpm 9, event 17, EV_EVENT_TAG", "tdx 3, event 16, EV_EVENT_TAG"),
        "random bytes": (),
    }


def test_what_was_not_read_is_no_input(covered):
    inputs = [Consumed(piece("a", b""), 0), Consumed(piece("b", b""), 1), Consumed(piece("c", b""), None)]
    assert covered(inputs) == {"b": (), "c": ()}


def test_a_variable_is_covered_along_with_its_name(covered):
    event = Event(7, EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, digests((SHA256,), SECURE_BOOT), SECURE_BOOT)
    inputs = [piece("variable SecureBoot", b"\0"), piece("variable SetupMode", b"\0"), piece("SecureBoot", b"\0")]
    assert covered(inputs, one(event)) == {
        "variable SecureBoot": ("tpm 7, event 0, EV_EFI_VARIABLE_DRIVER_CONFIG",),
        "variable SetupMode": (),
        "SecureBoot": (),
    }
    assert covered([piece("variable SecureBoot", b"\1")], one(event)) == {"variable SecureBoot": ()}


@pytest.mark.parametrize(
    ("kind", "hashed", "data"),
    [
        (EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, b"else", SECURE_BOOT),  # the data aren't what was measured
        (EventType.EV_EVENT_TAG, SECURE_BOOT, SECURE_BOOT),
        (EventType.EV_EFI_VARIABLE_BOOT, SECURE_BOOT[:-1], SECURE_BOOT[:-1]),
        (EventType.EV_EFI_VARIABLE_BOOT, b"", b""),
    ],
)
def test_what_only_looks_like_the_variable(covered, kind, hashed, data):
    event = Event(7, kind, digests((SHA256,), hashed), data)
    assert covered([piece("variable SecureBoot", b"\0")], one(event)) == {"variable SecureBoot": ()}


def test_an_event_that_extends_nothing_covers_nothing(covered):
    event = Event(0, EventType.EV_NO_ACTION, digests((SHA256,), b"x"), b"x")
    assert covered([piece("x", b"x")], one(event)) == {"x": ()}


def test_a_digest_by_an_algorithm_that_no_register_has_covers_nothing(covered):
    event = Event(4, EventType.EV_IPL, digests((Algorithm.SHA1,), b"x"), b"")
    assert covered([piece("x", b"x")], one(event)) == {"x": ()}
