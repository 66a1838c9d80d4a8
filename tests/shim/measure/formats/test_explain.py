from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from shim.measure.formats.explain import called, other_data, subject, why_other_digest

SHA1, SHA256, *_ = Algorithm


def test_an_event_has_a_name_and_a_subject(boots):
    events = boots().events
    assert called(events[0]) == 'EV_EFI_VARIABLE_DRIVER_CONFIG "SecureBoot"'
    assert called(Event(1, 0x999, {}, b"\xff")) == "0x999"
    assert subject(events[0]) == "SecureBoot"
    assert subject(events[17]) == "0x8f3b22ed"
    assert subject(events[8]) == ""


def test_other_data_is_told_by_field_or_in_hexadecimal():
    one = Event(8, EventType.EV_IPL, {}, b"quiet")
    two = Event(8, EventType.EV_IPL, {}, b"debug")
    assert other_data(one, two) == "text quiet, in the log debug"
    raw, none = Event(8, 0x999, {}, b"\1" * 60), Event(8, 0x999, {}, b"")
    assert other_data(raw, none) == f"data {'01' * 38}0..., in the log nothing"


def test_why_a_digest_is_another():
    banks = (SHA1, SHA256)
    text = Event(8, EventType.EV_IPL, {}, b"quiet")
    other = Event(8, EventType.EV_IPL, {}, b"debug")
    separator = Event(7, EventType.EV_SEPARATOR, {SHA256: bytes(32)}, bytes(4))
    assert "sha1 alone" in why_other_digest(text, text, (SHA1,), banks)
    assert "not in the log" in why_other_digest(text, text, banks, banks)
    assert "text quiet" in why_other_digest(text, other, banks, banks)
    assert "not that of the data" in why_other_digest(separator, separator, banks, banks)
