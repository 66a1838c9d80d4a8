import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import EventType
from shim.measure.formats.cel_values import (
    FOREIGN,
    BadRecord,
    event,
    json_content,
    json_digests,
    number_in,
    numbered_content,
    numbered_digests,
)

SHA256 = Algorithm.SHA256
ONE = "11" * 32


def test_digests_by_unknown_algorithms_are_left_out():
    assert json_digests([{"hashAlg": "sm3_256", "digest": "00"}, {"hashAlg": "SHA256", "digest": ONE}]) == {
        SHA256: bytes.fromhex(ONE)
    }
    assert numbered_digests([{0: 0x12, 1: b"x"}, {0: 0xB, 1: bytes(32)}]) == {SHA256: bytes(32)}


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        [1],
        [{}],
        [{"hashAlg": "sha256"}],
        [{"hashAlg": "sha256", "digest": "11"}],
        [{"hashAlg": "sha256", "digest": "11 " * 32}],
        [{"hashAlg": "sha256", "digest": "zz" * 32}],
        [{"hashAlg": "sha256", "digest": ONE}, {"hashAlg": "sha256", "digest": ONE}],
        [{"hashAlg": "sha256", "digest": ONE}, {"hashAlg": "SHA256", "digest": ONE}],
        [{"hashAlg": f"x{each}", "digest": "00"} for each in range(17)],
    ],
)
def test_digests_that_are_none(found):
    with pytest.raises(BadRecord):
        json_digests(found)


@pytest.mark.parametrize("found", [[{0: 0xB}], [{0: 0xB, 1: "text"}], [{0: "b", 1: b""}], [{0: 0xB, 1: b"short"}]])
def test_numbered_digests_that_are_none(found):
    with pytest.raises(BadRecord):
        numbered_digests(found)


@pytest.mark.parametrize("kind", ["EV_IPL", 13, "13"])
def test_a_type_is_a_name_or_a_number_also_as_text(kind):
    assert json_content("pcclient_std", {"event_type": kind, "event_data": "00ff"}) == (EventType.EV_IPL, b"\0\xff")


@pytest.mark.parametrize("kind", ["EV_NONSENSE", -1, 1 << 32, True, None, 1.0, "9" * 5000, "٣"])
def test_a_type_that_is_none(kind):
    with pytest.raises(BadRecord):
        json_content("pcclient_std", {"event_type": kind, "event_data": ""})


def test_other_content_has_a_type_that_no_firmware_has():
    kind, data = json_content("systemd", {"string": "enter-initrd"})
    assert kind == FOREIGN | 9
    assert data == b'{"string":"enter-initrd"}'
    assert numbered_content(80, b"cos") == (FOREIGN | 80, b"cos")
    with pytest.raises(BadRecord):
        json_content(None, {})
    with pytest.raises(BadRecord):
        numbered_content(5, {0: 13})


def test_notes_of_the_log_itself_extend_nothing():
    assert not event(0, FOREIGN | 4, {}, b"").extends
    assert event(0, FOREIGN | 4, {SHA256: bytes(32)}, b"").extends


@pytest.mark.parametrize("value", [-1, 8, True, None, "1", 1.0])
def test_a_number_is_a_number(value):
    assert number_in({"x": 7}, "x", 7) == 7
    with pytest.raises(BadRecord):
        number_in({"x": value}, "x", 7)
