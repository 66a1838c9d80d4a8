import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efi_services.tcg import log as log_module
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.log import LogError, decode, encode, encode_old, header

SHA1, SHA256, SHA384, SHA512 = Algorithm
BOTH = (SHA1, SHA256)
EVENTS = (
    Event(0, EventType.EV_NO_ACTION, {SHA1: bytes(20), SHA256: bytes(32)}, b"StartupLocality\0\3"),
    Event(4, EventType.EV_EFI_ACTION, digests(BOTH, b"Calling"), b"Calling"),
    Event(9, EventType.EV_EVENT_TAG, digests(BOTH, b"quiet"), b""),
)


@st.composite
def logs(draw):
    algorithms = tuple(draw(st.lists(st.sampled_from(Algorithm), min_size=1, unique=True)))
    event = st.builds(
        Event,
        st.integers(1, 23),
        st.integers(0, 0xFFFF_FFFF),
        st.fixed_dictionaries({each: st.binary(min_size=each.size, max_size=each.size) for each in algorithms}),
        st.binary(max_size=80),
    )
    return algorithms, tuple(draw(st.lists(event, max_size=10)))


@given(logs(), st.sampled_from([0, 1]))
def test_what_is_written_is_read(made, index):
    algorithms, events = made
    data = encode(events, algorithms, header_index=index)
    log = decode(data)
    assert (log.events, log.algorithms, log.header_index) == (events, algorithms, index)
    assert log.crypto_agile
    assert log.size == len(data)


@given(logs())
def test_the_older_form_keeps_sha1(made):
    _, events = made
    events = tuple(
        Event(each.index, each.type, {SHA1: each.digests.get(SHA1, bytes(20))}, each.data) for each in events
    )
    log = decode(encode_old(events))
    assert log.events == events
    assert not log.crypto_agile
    assert log.algorithms == ((SHA1,) if events else ())


@given(st.data())
@settings(deadline=None)
def test_changed_bytes_are_read_or_refused_with_their_place(data):
    changed = bytearray(encode(EVENTS, BOTH))
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    error = None
    try:
        log = decode(bytes(changed[: data.draw(st.integers(0, len(changed)))]))
    except LogError as why:
        error = why
    if error is not None:
        assert 0 <= error.offset < len(changed)
    else:
        assert log.size <= len(changed)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    try:
        decode(data)
    except LogError:
        return


def test_the_header_is_as_firmware_writes_it():
    data = header(BOTH)
    index, kind, digest, size = struct.unpack_from("<II20sI", data)
    assert (index, kind, digest, size) == (0, 3, bytes(20), 37)
    assert data[32:48] == b"Spec ID Event03\0"
    assert len(data) == 32 + 37
    assert decode(header(BOTH, vendor_info=b"vendor")).vendor_info == b"vendor"


def test_every_place_where_a_log_can_end_is_refused_but_between_events():
    data = encode(EVENTS, BOTH)
    ends = {len(encode(EVENTS[:count], BOTH)) for count in range(4)} | {0}
    for size in range(len(data)):
        # The first zeroes of an event of PCR 0 can't be told from memory that is not used yet.
        if size in ends or not data[max(end for end in ends if end <= size) : size].strip(b"\0"):
            decode(data[:size])
        else:
            with pytest.raises(LogError):
                decode(data[:size])


@pytest.mark.parametrize("filler", [b"\xff", b"\0"])
@pytest.mark.parametrize("size", [1, 7, 8, 1000])
def test_memory_that_is_not_used_yet_ends_the_log(filler, size):
    data = encode(EVENTS, BOTH)
    log = decode(data + filler * size)
    assert log.events == EVENTS
    assert log.size == len(data)


@pytest.mark.parametrize("filler", [b"\xff", b"\0"])
def test_events_do_not_hide_in_unused_memory(filler):
    data = encode(EVENTS, BOTH)
    with pytest.raises(LogError, match=r"event 4 at .*something is in it"):
        decode(data + filler * 64 + data[-60:])


def test_digests_by_algorithms_that_are_not_known_are_left_out():
    spec = struct.pack("<16sIBBBBI", b"Spec ID Event03\0", 0, 0, 2, 0, 2, 2)
    spec += struct.pack("<HHHHB", 0xB, 32, 0x12, 32, 0)
    event = struct.pack("<III", 7, 4, 2) + b"\x12\0" + bytes(32) + b"\x0b\0" + b"\1" * 32 + struct.pack("<I", 0)
    log = decode(struct.pack("<II20sI", 0, 3, bytes(20), len(spec)) + spec + event)
    assert log.algorithms == (SHA256,)
    assert log.events == (Event(7, 4, {SHA256: b"\1" * 32}, b""),)


def spec_id(count, *pairs, tail=b"\0"):
    spec = struct.pack("<16sIBBBBI", b"Spec ID Event03\0", 0, 0, 2, 0, 2, count)
    spec += b"".join(struct.pack("<HH", *pair) for pair in pairs) + tail
    return struct.pack("<II20sI", 0, 3, bytes(20), len(spec)) + spec


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (spec_id(0), "0 algorithms"),
        (spec_id(0xFFFF_FFFF), "4294967295 algorithms"),
        (spec_id(2, (0xB, 32)), "2 algorithms"),
        (spec_id(2, (0xB, 32), (0xB, 32)), "twice"),
        (spec_id(1, (0xB, 20)), "gives sha256 20 bytes"),
        (spec_id(1, (0xB, 32), tail=b"\x05abc"), "vendor"),
        (spec_id(1, (0xB, 32)) + struct.pack("<III", 1, 1, 2), "2 digests"),
        (spec_id(1, (0xB, 32)) + struct.pack("<IIIH", 1, 1, 1, 4), "unannounced"),
        (spec_id(1, (0xB, 32)) + struct.pack("<IIIH32sI", 1, 1, 1, 0xB, bytes(32), 9), "9 bytes, and 0 are left"),
        (struct.pack("<II20sI", 0, 8, bytes(20), 0xFFFF_FFFF), "4294967295 bytes"),
    ],
)
def test_what_contradicts_itself(data, why):
    with pytest.raises(LogError, match=why):
        decode(data)


def test_the_error_names_the_event_and_its_offset():
    data = encode(EVENTS, BOTH)
    with pytest.raises(LogError, match=r"^event 3 at offset 0x") as why:
        decode(data[:-1])
    # The header is event 0.
    assert why.value.number == 3
    assert why.value.offset == len(encode(EVENTS[:2], BOTH))


def test_events_are_not_endless(monkeypatch):
    monkeypatch.setattr(log_module, "MAX_EVENTS", 3)
    with pytest.raises(LogError, match="more than 3"):
        decode(encode(EVENTS, BOTH))


@pytest.mark.parametrize("data", [b"", bytes(64), b"\xff" * 64])
def test_nothing_is_a_log_without_events(data):
    log = decode(data)
    assert (log.events, log.algorithms, log.size) == ((), (), 0)
