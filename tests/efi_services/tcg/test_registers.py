import pytest

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.registers import DYNAMIC, MR_NAMES, LocalityError, Pcrs, mr_of_pcr, replay

SHA1, SHA256, SHA384, SHA512 = Algorithm
BOTH = (SHA1, SHA256)


def event(index, data=b"x", kind=EventType.EV_IPL):
    return Event(index, kind, digests(BOTH, data), data)


def start(locality):
    return Event(0, EventType.EV_NO_ACTION, {}, b"StartupLocality\0" + bytes([locality]))


def test_registers_begin_with_zeroes_or_ones():
    pcrs = Pcrs(BOTH)
    assert pcrs.value(SHA256, 0) == bytes(32)
    assert all(pcrs.value(SHA1, index) == b"\xff" * 20 for index in DYNAMIC)
    assert pcrs.value(SHA1, 23) == bytes(20)
    assert Pcrs(BOTH, startup_locality=3).value(SHA256, 0) == bytes(31) + b"\3"


def test_a_log_comes_to_what_the_registers_hold():
    pcrs = Pcrs(BOTH)
    events = [event(4), event(4, b"y"), event(9)]
    for each in events:
        pcrs.extend(each.index, each.digests)
    replayed = replay(events, BOTH)
    assert replayed.keys() == {4, 9}
    assert all(pcrs.value(bank, index) == value for index, values in replayed.items() for bank, value in values.items())


def test_a_bank_without_a_digest_stays_as_it_is():
    only = Event(4, EventType.EV_IPL, {SHA1: SHA1.digest(b"x")}, b"x")
    assert replay([only], BOTH)[4] == {SHA1: SHA1.extend(bytes(20), SHA1.digest(b"x")), SHA256: bytes(32)}


@pytest.mark.parametrize("dynamic", [False, True])
def test_pcrs_of_the_dynamic_launch_begin_with_ones_unless_there_was_one(dynamic):
    before = bytes(32) if dynamic else b"\xff" * 32
    assert replay([event(17)], BOTH, dynamic=dynamic)[17][SHA256] == SHA256.extend(before, SHA256.digest(b"x"))


def test_the_locality_of_the_start_is_pcr_0s_beginning():
    first = bytes(31) + b"\3"
    assert replay([start(3)], BOTH) == {0: {SHA1: bytes(19) + b"\3", SHA256: first}}
    assert replay([start(3), event(0)], BOTH)[0][SHA256] == SHA256.extend(first, SHA256.digest(b"x"))


def test_a_locality_that_comes_late_does_not_undo_what_was_extended():
    assert replay([event(0), start(3)], BOTH) == replay([event(0)], BOTH)
    assert replay([start(3), start(4)], BOTH) == replay([start(3)], BOTH)


def test_events_without_action_extend_nothing():
    assert replay([event(4, kind=EventType.EV_NO_ACTION)], BOTH) == {}


def test_localities_extend_what_is_theirs():
    """What a TPM of swtpm answered, locality by locality."""
    allowed = {17: {2, 3, 4}, 18: {2, 3, 4}, 19: {2, 3}, 20: {1, 2, 3}, 21: {2}, 22: {2}}
    for index in range(24):
        for locality in range(5):
            pcrs = Pcrs(BOTH)
            if locality in allowed.get(index, range(5)):
                pcrs.extend(index, event(index).digests, locality)
                assert pcrs.value(SHA1, index) not in (bytes(20), b"\xff" * 20)
            else:
                with pytest.raises(LocalityError, match=f"PCR {index}"):
                    pcrs.extend(index, event(index).digests, locality)


def test_resets_are_for_few():
    pcrs = Pcrs(BOTH)
    for index in (16, 23):
        pcrs.extend(index, event(index).digests)
        pcrs.reset(index)
        assert pcrs.value(SHA256, index) == bytes(32)
    pcrs.reset(20, 2)
    assert pcrs.value(SHA256, 20) == bytes(32)
    for index, locality in ((4, 4), (17, 4), (20, 0), (22, 4)):
        with pytest.raises(LocalityError, match="reset"):
            pcrs.reset(index, locality)


def test_a_launch_begins_the_dynamic_pcrs_anew():
    pcrs = Pcrs(BOTH)
    pcrs.launch(b"loader")
    assert pcrs.value(SHA256, 17) == SHA256.extend(bytes(32), SHA256.digest(b"loader"))
    assert all(pcrs.value(SHA256, index) == bytes(32) for index in range(18, 23))


def test_an_unknown_bank_is_not_extended():
    pcrs = Pcrs((SHA1,))
    pcrs.extend(4, {SHA256: bytes(32)})
    assert pcrs.value(SHA1, 4) == bytes(20)


def test_which_register_stands_for_a_pcr():
    assert [mr_of_pcr(each) for each in range(24)] == [0, 1, 2, 2, 2, 2, 2, 1] + [3] * 8 + [None] * 8
    assert MR_NAMES["tdx"][mr_of_pcr(9)] == "RTMR2"
    assert MR_NAMES["cca"][mr_of_pcr(4)] == "REM1"
