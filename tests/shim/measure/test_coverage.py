"""Which inputs some register covers."""

import hashlib

import pytest

from efi_services.guids import GLOBAL_VARIABLE
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType, variable_data
from efi_services.tcg.piece import piece
from payloads import catalogue
from shim.measure import coverage as module
from shim.measure import pieces
from shim.measure.consumed import Consumed
from shim.measure.coverage import coverage
from shim.measure.model import Measurements
from shim.trace.folder import RunFolder

SHA256 = Algorithm.SHA256
#: Stands for the payload where a test is not about it.
PAYLOAD = piece("payload image", b"payload")
SECURE_BOOT = variable_data(GLOBAL_VARIABLE, "SecureBoot", b"\0")


@pytest.fixture
def covered(monkeypatch, wrap):
    """What covers each of the inputs, by their names."""

    def covers(inputs, *sets):
        found = [each if isinstance(each, Consumed) else Consumed(each, None) for each in inputs]
        monkeypatch.setattr(module, "consumed", lambda _run: found)
        payload = found[0] if found and found[0].piece.name == "payload image" else Consumed(PAYLOAD, None)
        monkeypatch.setattr(module, "_payload", lambda _run: [payload.piece])
        covering = {each.consumed.piece.name: each.by for each in coverage(None, wrap(*sets))}
        return {name: by for name, by in covering.items() if payload.piece is not PAYLOAD or name != PAYLOAD.name}

    return covers


def one(event, kind="tpm", algorithms=(SHA256,)):
    return Measurements(kind, algorithms, (event,))


def test_a_boot(covered, boots, mr_boots):
    options = "console=ttyS0 quiet\0".encode("utf-16-le")
    inputs = [
        piece("payload image", b"Authenticode of kernel"),
        piece("command line", b"quiet"),
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


def test_what_was_asked_for_and_handed_on_unread_is_an_input(covered):
    asked = Consumed(piece("random bytes", b"seed", 0x2000, 32), 0)
    lay_there = Consumed(piece("table", b"t", 0x3000), 0)
    assert covered([asked, lay_there]) == {"random bytes": ()}


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


@pytest.fixture
def run(make_report, tmp_path):
    def make(payload=None, **about):
        pieces.save(tmp_path / pieces.INPUTS, [piece("initrd", b"cpio")])
        return RunFolder(tmp_path, make_report(payload=about), payload)

    return make


def test_the_payload_is_looked_up_when_it_is_asked_for(run, wrap):
    hello = catalogue.program("program:hello")
    image = pieces.image(hello.read_bytes())
    event = Event(4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION, {SHA256: image.digests[SHA256]}, b"")
    sha256 = hashlib.sha256(hello.read_bytes()).hexdigest()
    first, second = coverage(run(name="program:hello", sha256=sha256), wrap(one(event)))
    assert first.consumed.piece == image
    assert first.by == ("tpm 4, event 0, EV_EFI_BOOT_SERVICES_APPLICATION",)
    assert (second.consumed.piece.name, second.by) == ("initrd", ())
    assert coverage(run(hello, name="elsewhere", sha256=sha256), wrap(one(event)))[0] == first


def test_of_a_payload_that_is_not_at_hand_nothing_is_told(run, wrap):
    first = coverage(run(name="program:hello", size=77), wrap())[0]
    assert (first.consumed.piece.name, first.consumed.piece.size, first.by) == ("payload image", 77, None)


def test_a_file_that_the_stub_got_is_one_input(run, wrap):
    folder = run(name="program:nothing")
    files = [piece("command line", b"quiet"), piece("initrd", b"cpio"), piece("initrd", b"cpio", 0x1000, 21)]
    pieces.save(folder.path / pieces.INPUTS, files)
    found = coverage(folder, wrap())
    assert [(each.consumed.piece.name, each.consumed.piece.address) for each in found[1:]] == [("initrd", 0x1000)]
