"""What is printed of measurements: words, not the looks of tables."""

import pytest

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.log import encode
from efi_services.tcg.piece import piece
from shim.errors import UnreadableError, UsageError
from shim.measure.consumed import Consumed
from shim.measure.coverage import Covered
from shim.measure.formats import FORMATS
from shim.measure.model import Measured, Measurements
from shim.report import measurements

SHA1, SHA256 = Algorithm.SHA1, Algorithm.SHA256
BANKS = (SHA1, SHA256)


def event(text, pcr=9):
    return Event(pcr, EventType.EV_IPL, digests(BANKS, text), text)


def wrap(*events, algorithms=BANKS, kind="tpm", unknown=frozenset()):
    return Measured("stub", None, "ab" * 32, "firmware", (Measurements(kind, algorithms, events, unknown),))


@pytest.fixture
def lines(capsys):
    """What something prints, as words of lines."""

    def get(show, *arguments):
        capsys.readouterr()
        show(*arguments)
        return [line.split() for line in capsys.readouterr().out.splitlines()]

    return get


def test_every_form_is_listed(lines):
    assert [line[0] for line in lines(measurements.show_forms)] == ["format", *FORMATS]


def test_events_and_registers(lines):
    found = lines(measurements.show_measured, wrap(event(b"one"), event(b"two", 0), unknown=frozenset({0})))
    value = SHA256.extend(bytes(32), SHA256.digest(b"one")).hex()
    assert found == [
        ["event", "register", "type", "sha256", "what"],
        ["0", "PCR", "9", "EV_IPL", SHA256.digest(b"one").hex()[:16], "one"],
        ["1", "PCR", "0", "EV_IPL", SHA256.digest(b"two").hex()[:16], "two"],
        ["register", "sha256"],
        ["PCR", "9", value],
        ["PCR", "0", *["not", "known:", "the", "platform's", "own", "part", "is", "not"]],
    ]


def test_without_sha256_the_first_bank_is_shown(lines):
    found = lines(measurements.show_measured, wrap(event(b"one"), algorithms=(SHA1,)))
    assert found[1][4] == SHA1.digest(b"one").hex()[:16]
    assert found[2] == ["register", "sha1"]


def test_registers_of_confidential_computing_have_their_names(lines):
    found = lines(measurements.show_measured, wrap(event(b"one", 3), kind="tdx"))
    assert found[1][1] == found[3][0] == "RTMR2"


def test_an_event_that_extends_nothing_has_no_digest(lines):
    note = Event(0, EventType.EV_NO_ACTION, {}, b"note")
    assert lines(measurements.show_measured, wrap(note))[1][:5] == ["0", "PCR", "0", "EV_NO_ACTION", "-"]


def test_what_comes_from_a_payload_can_not_steer_the_terminal(lines):
    note = wrap(event(b"[red]x"), event(b"\x1b[2J"))
    found = lines(measurements.show_measured, note)
    assert "\x1b" not in str(found)
    assert found[1][-1] == "[red]x"


def test_an_equal_log(lines, capsys):
    data = encode([event(b"one"), event(b"two")], BANKS)
    assert measurements.show_comparison(wrap(event(b"one"), event(b"two")), data, "log") == 0
    assert capsys.readouterr().out == "equal: 2 events\n"


def test_each_difference_is_a_line(capsys):
    data = encode([event(b"one"), event(b"2")], BANKS)
    count = measurements.show_comparison(wrap(event(b"one"), event(b"two")), data, "log")
    out = capsys.readouterr().out.splitlines()
    assert count == len(out) > 0
    assert out[0].startswith("PCR 9: differs (ours 1, theirs 1)")


def test_what_is_not_known_does_not_count(capsys):
    data = encode([event(b"one"), event(b"own", 0), event(b"zero", 0)], BANKS)
    made = wrap(event(b"one"), event(b"zero", 0), unknown=frozenset({0}))
    assert measurements.show_comparison(made, data, "log") == 0
    assert capsys.readouterr().out.startswith("PCR 0: unknown")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "log: it is no event log of a known form"),
        (encode([event(b"one")], BANKS)[:-1], r"log: event 1 at offset 0x45: the data has 3 bytes, and 2"),
    ],
)
def test_a_log_that_can_not_be_read_is_named(data, why):
    with pytest.raises(UnreadableError, match=why):
        measurements.show_comparison(wrap(event(b"one")), data, "log")


def test_nothing_to_compare_with():
    nothing = Measured("stub", None, "ab" * 32, "firmware", ())
    with pytest.raises(UsageError, match="log: the run measured nothing"):
        measurements.show_comparison(nothing, encode([event(b"one")], BANKS), "log")


def test_a_log_is_compared_with_registers_of_its_kind(boots, wrap_both):
    made = wrap_both
    data = FORMATS["ccel"].write(made)
    # Nothing in a binary log tells of which kind it is but the odd header.
    odd = b"\1" + data[1:]
    assert measurements.show_comparison(made, odd, "log") == 0
    assert measurements.show_comparison(made, FORMATS["cel-json"].write(made), "log") == 0


@pytest.fixture
def boots():
    return Measurements("tpm", BANKS, (event(b"one"),))


@pytest.fixture
def wrap_both(boots):
    tdx = Event(3, EventType.EV_IPL, digests((Algorithm.SHA384,), b"one"), b"one")
    return Measured("stub", None, "ab" * 32, "firmware", (boots, Measurements("tdx", (Algorithm.SHA384,), (tdx,))))


def test_the_gap(lines, monkeypatch):
    found = [
        Covered(Consumed(piece("initrd", b"cpio"), None), ("tpm 9, event 16, EV_EVENT_TAG", "tdx 3, event 1, X")),
        Covered(Consumed(piece("random bytes", b"12345678", 1), 40, ("copy", "parse")), ()),
        Covered(Consumed(piece("map\x1b[0m", b"", 1), 1, tuple("abcde")), ()),
    ]
    monkeypatch.setattr(measurements, "coverage", lambda _run, _measured: found)
    head, *rows = lines(measurements.show_gap, None, wrap())
    assert head == ["input", "size", "read", "measured", "by", "read", "by"]
    assert rows[0] == [
        "initrd",
        "4",
        "-",
        "tpm",
        "9,",
        "event",
        "16,",
        "EV_EVENT_TAG;",
        "tdx",
        "3,",
        "event",
        "1,",
        "X",
    ]
    assert rows[1] == ["random", "bytes", "8", "40", "nothing", "copy,", "parse"]
    assert rows[2] == ["map\\x1b[0m", "0", "1", "nothing", "a,", "b,", "c,", "d", "…"]


def test_a_log_is_compared_with_the_set_that_has_its_banks(capsys):
    sha384 = (Algorithm.SHA384,)
    log = encode([Event(1, EventType.EV_IPL, digests(sha384, b"x"), b"x")], sha384)
    one = Measurements("tdx", sha384, (Event(1, EventType.EV_IPL, digests(sha384, b"x"), b"x"),))
    made = Measured("stub", None, "ab" * 32, "p", (*wrap(event(b"one")).sets, one))
    assert measurements.show_comparison(made, log, "log") == 0
