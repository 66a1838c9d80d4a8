from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.log import LogError
from shim.errors import UnreadableError, UsageError
from shim.measure.compare import Difference, Kind, compare
from shim.measure.formats import FORMATS
from shim.measure.model import Measurements
from shim.measure.readers import ReadLog, read

SHA1, SHA256, SHA384, SHA512 = Algorithm


def log_of(measurements, **changes):
    return replace(ReadLog("tcg2", measurements.events, measurements.algorithms), **changes)


def matter(found):
    return [each for each in found if each.matters]


def events_of(found):
    return [each for each in matter(found) if each.kind is not Kind.REGISTER]


def registers_of(found):
    return {each.register for each in found if each.kind is Kind.REGISTER}


def test_the_same_boot_differs_in_nothing_but_what_is_not_known(boots):
    found = compare(boots(), log_of(boots()))
    assert [(each.kind, each.register) for each in found] == [(Kind.UNKNOWN, "PCR 0"), (Kind.UNKNOWN, "PCR 2")]
    assert matter(found) == []


@pytest.mark.parametrize("form", ["tcg2", "tcg12", "cel-json", "cel-cbor", "cel-tlv"])
def test_a_log_of_any_form_is_compared(form, measured):
    assert matter(compare(measured.set_of("tpm"), read(FORMATS[form].write(measured)))) == []


def test_another_command_line_is_one_event_and_its_register(boots):
    (event,) = events_of(found := compare(boots(), log_of(boots(cmdline="debug"))))
    assert (event.kind, event.register, event.ours, event.theirs) == (Kind.DIFFERS, "PCR 9", 17, 17)
    assert 'EV_EVENT_TAG "LOADED_IMAGE::LoadOptions": other digest; what was measured is not in the log' in event.why
    assert registers_of(found) == {"PCR 9"}


def test_another_variable_is_told_by_its_value(boots):
    (event,) = events_of(compare(boots(), log_of(boots(boot_order=b"\1\0\0\0"))))
    assert event.why == 'EV_EFI_VARIABLE_BOOT "BootOrder": value 0000, in the log 01000000'


def test_another_place_of_the_image_is_no_other_measurement(boots):
    found = compare(boots(), log_of(boots(location=0x1000)))
    assert matter(found) == []
    (event,) = [each for each in found if each.kind is Kind.DATA]
    assert "location 0x7e000000, in the log 0x1000 (the digest is the same)" in event.why


def test_what_the_machine_did_besides_and_left_out(boots):
    ours = boots()
    events = list(ours.events)
    del events[18]
    events.insert(3, Event(8, EventType.EV_IPL, digests(ours.algorithms, b"grub"), b"grub"))
    found = compare(ours, log_of(ours, events=tuple(events)))
    assert [(each.kind, each.ours, each.theirs) for each in events_of(found)] == [
        (Kind.EXTRA, None, 3),
        (Kind.MISSING, 18, None),
    ]
    assert registers_of(found) == {"PCR 8", "PCR 9"}
    assert any("sha1 not extended, by the log" in each.why for each in found)


def test_another_order_is_told_as_such(boots):
    ours = boots()
    events = list(ours.events)
    events[17], events[18] = events[18], events[17]
    found = compare(ours, log_of(ours, events=tuple(events)))
    (event,) = events_of(found)
    assert event.kind is Kind.ORDER
    assert "at another place" in event.why
    assert registers_of(found) == {"PCR 9"}


def test_an_event_that_is_there_more_often_is_extra(boots):
    ours = boots()
    events = (*ours.events, ours.events[18])
    (event,) = events_of(compare(ours, log_of(ours, events=events)))
    assert (event.kind, event.theirs) == (Kind.EXTRA, len(ours.events))


@pytest.mark.parametrize("bank", [SHA1, SHA512])
def test_one_bank_alone_that_differs_is_seen(bank, boots):
    ours = boots()
    event = ours.events[18]
    forged = replace(event, digests={**event.digests, bank: bytes(bank.size)})
    found = compare(ours, log_of(ours, events=(*ours.events[:18], forged, *ours.events[19:])))
    (event,) = events_of(found)
    assert f"other digest by {bank.label} alone" in event.why


def test_data_that_is_not_what_the_digest_is_of_is_a_difference(boots):
    ours = boots()
    forged = replace(ours.events[5], data=b"\1\0\0\0")
    found = compare(ours, log_of(ours, events=(*ours.events[:5], forged, *ours.events[6:])))
    (event,) = events_of(found)
    assert "it can't be of both data" in event.why


def test_another_type_with_the_same_digest_is_told(boots):
    ours = boots()
    other = replace(ours.events[18], type=EventType.EV_IPL)
    found = compare(ours, log_of(ours, events=(*ours.events[:18], other, *ours.events[19:])))
    assert "but EV_IPL in the log" in next(each.why for each in found if each.kind is Kind.DATA)


def test_only_banks_that_both_have_are_compared(boots):
    assert matter(compare(boots(), log_of(boots((SHA256,))))) == []
    with pytest.raises(UsageError, match="no digests by sha384"):
        compare(boots((SHA384,)), log_of(boots((SHA256,))))


def test_events_without_a_digest_never_match(boots):
    ours = boots((SHA256,))
    bare = replace(ours.events[18], digests={})
    events = (*ours.events[:18], bare, *ours.events[19:])
    (event,) = events_of(compare(ours, log_of(ours, events=events)))
    assert "not both have a digest by sha256" in event.why
    both = replace(ours, events=events)
    assert matter(compare(both, log_of(both)))


def test_registers_of_another_kind_are_not_compared(boots, mr_boots):
    with pytest.raises(UsageError, match="confidential"):
        compare(boots((SHA384,)), log_of(mr_boots(), confidential=True))
    assert matter(compare(mr_boots(), log_of(mr_boots(), confidential=True))) == []


def test_the_locality_of_the_start_is_in_the_register(boots):
    ours = replace(boots(), unknown=frozenset())
    start = Event(0, EventType.EV_NO_ACTION, {}, b"StartupLocality\0\x03")
    found = compare(ours, log_of(ours, events=(start, *ours.events)))
    assert events_of(found) == []
    assert registers_of(found) == {"PCR 0"}


def test_registers_that_the_log_does_not_come_to(boots):
    ours = boots((SHA256,))
    values = ours.registers()
    assert matter(compare(ours, log_of(ours), values)) == []
    values[9] = {SHA256: bytes(32)}
    (event,) = matter(compare(ours, log_of(ours), values))
    assert event.kind is Kind.REGISTER
    assert f"but the machine has {bytes(32).hex()}" in event.why


def test_a_difference_is_a_line():
    assert str(Difference(Kind.EXTRA, "PCR 8", None, 3, "why")) == "PCR 8: extra (theirs 3): why"
    assert str(Difference(Kind.REGISTER, "PCR 8", None, None, "why")) == "PCR 8: register: why"


@pytest.mark.parametrize("form", ["tcg2", "cel-json", "cel-tlv"])
@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_log_that_matches_comes_to_the_same_registers(form, measured, data):
    whole = bytearray(FORMATS[form].write(measured))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    ours = measured.set_of("tpm")
    try:
        log = read(bytes(whole))
        found = compare(ours, log)
    except (LogError, UnreadableError, UsageError):
        return
    if not matter(found):
        theirs = log.registers()
        common = [each for each in ours.algorithms if each in log.algorithms]
        for index, values in ours.registers().items():
            assert all(theirs[index][each] == values[each] for each in common)


def test_a_log_as_long_as_one_may_be_is_compared_in_time(boots):
    """Paired in order beyond a bound, instead of weighing every pair."""
    many = tuple(
        Event(8, EventType.EV_IPL, {SHA256: SHA256.digest(bytes([n % 251, n // 251]))}, b"") for n in range(8000)
    )
    ours = replace(boots((SHA256,)), events=many)
    found = compare(ours, log_of(ours, events=many[1:-1:2]))
    assert matter(found)


def test_of_a_register_by_the_platforms_word_only_the_value_is_compared(boots):
    log = log_of(boots())
    value = log.registers()[0]
    ours = replace(boots(), unknown=frozenset({2}), given={0: value})
    assert [each.kind for each in compare(ours, log) if each.register == "PCR 0"] == []
    other = replace(ours, given={0: {each: bytes(each.size) for each in value}})
    found = [each for each in compare(other, log) if each.register == "PCR 0"]
    assert {each.kind for each in found} == {Kind.REGISTER}
    assert all(each.matters for each in found)


def plain(index, kind, data):
    return Event(index, kind, digests((SHA256,), data), data)


SEPARATOR = plain(0, EventType.EV_SEPARATOR, bytes(4))
VERSION = plain(0, EventType.EV_S_CRTM_VERSION, b"v1")


@pytest.mark.parametrize(
    ("theirs", "kinds"),
    [
        ((VERSION, SEPARATOR), []),
        ((SEPARATOR,), []),
        ((VERSION,), [Kind.MISSING]),
        ((VERSION, plain(0, EventType.EV_SEPARATOR, b"\1\0\0\0")), [Kind.DIFFERS]),
    ],
)
def test_of_an_unknown_register_what_is_known_has_to_be_there(theirs, kinds):
    ours = Measurements("tpm", (SHA256,), (SEPARATOR,), frozenset({0}))
    found = compare(ours, ReadLog("tcg2", theirs, (SHA256,)))
    assert [each.kind for each in found if each.matters] == kinds
    assert [each.why for each in found if each.kind is Kind.UNKNOWN] == [
        f"a part of it is the machine's own: {theirs.count(VERSION)} events of the log"
    ]


def test_one_of_a_kind_that_was_moved_and_changed_is_one_event():
    kernel, other = (plain(4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION, each) for each in (b"a", b"b"))
    action = plain(4, EventType.EV_EFI_ACTION, b"Calling")
    ours = Measurements("tpm", (SHA256,), (action, kernel))
    found = compare(ours, ReadLog("tcg2", (other, action), (SHA256,)))
    assert [(each.kind, each.ours, each.theirs) for each in events_of(found)] == [
        (Kind.ORDER, 1, 0),
        (Kind.DIFFERS, 1, 0),
    ]


def test_several_of_a_kind_are_not_taken_for_each_other():
    kind = EventType.EV_EFI_BOOT_SERVICES_APPLICATION
    action = plain(4, EventType.EV_EFI_ACTION, b"Calling")
    ours = Measurements("tpm", (SHA256,), (action, plain(4, kind, b"a")))
    found = compare(ours, ReadLog("tcg2", (plain(4, kind, b"b"), plain(4, kind, b"c"), action), (SHA256,)))
    assert [each.kind for each in events_of(found)] == [Kind.EXTRA, Kind.EXTRA, Kind.MISSING]
