import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.log import LogError, encode
from shim.errors import UnreadableError
from shim.measure import readers
from shim.measure.formats import FORMATS
from shim.measure.formats.logs import ccel
from shim.measure.model import Measured, Measurements
from shim.measure.readers import detect, read

FORMS = ("tcg2", "tcg12", "ccel", "cel-json", "cel-cbor", "cel-tlv", "systemd")
ALIKE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

types = st.sampled_from(EventType) | st.integers(0, 0xFFFF_FFFF)


@st.composite
def measurements(draw):
    algorithms = tuple(draw(st.lists(st.sampled_from(Algorithm), min_size=1, max_size=4, unique=True)))
    algorithms = tuple(sorted(algorithms, key=lambda each: each.number))
    events = []
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(types)
        # PCR 0 and type 0 is what unused memory looks like, and nobody writes it.
        index = draw(st.integers(1, 23))
        none = kind == EventType.EV_NO_ACTION
        digests = {} if none else {each: draw(st.binary(min_size=each.size, max_size=each.size)) for each in algorithms}
        events.append(Event(index, int(kind), digests, draw(st.binary(max_size=60))))
    events.append(Event(4, EventType.EV_SEPARATOR, {each: each.digest(b"") for each in algorithms}, b""))
    return Measurements("tpm", algorithms, tuple(events))


def without_zeroes(events):
    return tuple(each if each.extends else Event(each.index, each.type, {}, each.data) for each in events)


@given(measurements(), st.sampled_from(["tcg2", "cel-json", "cel-cbor", "cel-tlv"]))
@settings(deadline=None)
def test_whatever_is_written_reads_as_the_same(made, form):
    log = read(FORMATS[form].write(Measured("x", None, "", "p", (made,))))
    assert log.form == form
    assert without_zeroes(log.events) == made.events
    assert log.algorithms == made.algorithms
    assert log.registers() == made.registers()


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
@ALIKE
def test_changed_bytes_are_read_or_refused_with_the_place(form, data, measured):
    """No other exception than the two, and what reads as the same log has the same bytes in what matters."""
    whole = FORMATS[form].write(measured)
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        match data.draw(st.sampled_from(["set", "cut", "drop", "double"])):
            case "set":
                changed[at] = data.draw(st.integers(0, 255))
            case "cut":
                del changed[at:]
            case "drop":
                del changed[at : at + data.draw(st.integers(1, 40))]
            case "double":
                changed[at:at] = changed[at : at + data.draw(st.integers(1, 40))]
        if not changed:
            break
    for forced in (None, {"ccel": "tcg2"}.get(form, form)):
        error: Exception | None = None
        try:
            log = read(bytes(changed), forced)
        except (LogError, UnreadableError) as why:
            error = why
        if isinstance(error, LogError):
            assert 0 <= error.offset <= len(whole) + 200
            assert "event " in str(error)
        elif error is not None:
            assert forced is None
        else:
            assert all(len(value) == each.size for event in log.events for each, value in event.digests.items())
            assert all(event.index < 24 for event in log.events if event.extends)


@given(st.binary(max_size=300), st.sampled_from([None, *FORMS]))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(data, form):
    try:
        read(data, form)
    except (LogError, UnreadableError):
        return


@pytest.mark.parametrize("form", FORMS)
def test_the_form_is_told_by_the_content(form, measured):
    assert detect(FORMATS[form].write(measured)) == {"ccel": "tcg2"}.get(form, form)


@pytest.mark.parametrize("data", [b"", b"hello", b"{}", b"\x7fELF" + bytes(60), b"\0" * 8])
def test_what_is_no_log(data):
    with pytest.raises(UnreadableError, match="no event log"):
        read(data)


def test_a_form_that_nobody_reads():
    with pytest.raises(UnreadableError, match="pcrs"):
        read(b"", "pcrs")


def test_the_odd_header_of_ovmf_is_read_and_tells(measured):
    log = read(ccel(measured, header_index=1))
    assert log.header_index == 1
    assert log.confidential is True
    assert log.events == measured.set_of("tdx").events
    assert read(ccel(measured)).confidential is None
    with pytest.raises(LogError, match="register 2"):
        read(ccel(measured, header_index=2))


@pytest.mark.parametrize("filler", [b"\xff", b"\0"])
def test_unused_memory_behind_a_log_is_no_event(filler, measured):
    data = FORMATS["tcg2"].write(measured)
    assert read(data + filler * 4096).events == measured.set_of("tpm").events


@pytest.mark.parametrize("data", [bytes(64), encode([], ())[:28] + b"\xff" * 4])
def test_memory_without_a_log(data):
    with pytest.raises(LogError, match="event 0 at offset 0x0"):
        read(data, "tcg2")


def test_registers_that_no_machine_has():
    event = Event(24, EventType.EV_IPL, {Algorithm.SHA256: bytes(32)}, b"")
    with pytest.raises(LogError, match=r"event 0 .*no register 24"):
        read(encode([event], (Algorithm.SHA256,)))


def records(*changes):
    digest = [{"hashAlg": "sha256", "digest": "11" * 32}]
    content = {"event_type": "EV_IPL", "event_data": ""}
    plain = {"digests": digest, "content_type": "pcclient_std", "content": content}
    return json.dumps([{**plain, **each} for each in changes]).encode()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ([], "no event"),
        ([{"pcr": 24}], "no register 24"),
        ([{"nv_index": 1}], "NV index"),
        ([{"pcr": 1}, {"ccmr": 1}], "event 1 .*another kind"),
        ([{"pcr": 1, "recnum": 3}, {"pcr": 1, "recnum": 3}], "event 1 .*number 3 was there"),
        ([{"pcr": 1, "digests": []}], "no digest"),
        ([{"pcr": 1, "digests": [{"hashAlg": "sm3_256", "digest": "00"}]}], "no digest"),
    ],
)
def test_records_that_contradict_each_other(changes, why):
    with pytest.raises(LogError, match=why):
        read(records(*changes))


def test_records_may_be_counted_by_register_or_over_all():
    each = [{"pcr": 1, "recnum": 0}, {"pcr": 2, "recnum": 0}, {"pcr": 1, "recnum": 1}]
    over_all = [{"pcr": 1, "recnum": 1}, {"pcr": 2, "recnum": 2}, {"pcr": 1, "recnum": 3}]
    assert read(records(*each)).events == read(records(*over_all)).events


def test_a_file_larger_than_any_log_is_not_looked_at(monkeypatch, measured):
    monkeypatch.setattr(readers, "MAX_SIZE", 100)
    with pytest.raises(UnreadableError, match="too many"):
        read(FORMATS["tcg2"].write(measured))
