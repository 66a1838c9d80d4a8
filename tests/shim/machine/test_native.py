"""The native monitor as an object; what its callbacks do is seen in test_machine.py."""

import gc
import sys

import pytest

from shim.machine import _native
from shim.machine._native import Monitor

U64 = (
    "blocks",
    "limit",
    "previous",
    "stop",
    "write",
    "time_ns",
    "read_ns",
    "tsc_offset",
    "tsc_reads",
    "tick_ns",
    "host_reads",
)
INT = ("rax", "rcx", "rdx", "reason")
MOST = 256


def test_the_reasons_differ():
    reasons = [_native.REASON_NONE, _native.REASON_LIMIT, _native.REASON_LEFT, _native.REASON_ENTRY]
    reasons.append(_native.REASON_CLOCK)
    assert len(set(reasons)) == 5
    assert _native.REASON_NONE == 0


@pytest.mark.parametrize("name", [*U64, *INT])
def test_everything_starts_at_zero(name):
    assert getattr(Monitor(), name) == 0


def test_attributes_do_not_overlap():
    monitor = Monitor()
    for i, name in enumerate([*U64, *INT], 1):
        setattr(monitor, name, i)
    assert [getattr(monitor, name) for name in (*U64, *INT)] == list(range(1, 16))


@pytest.mark.parametrize("name", U64)
def test_numbers_of_64_bits_are_kept_whole(name):
    monitor = Monitor()
    setattr(monitor, name, (1 << 64) - 1)
    assert getattr(monitor, name) == (1 << 64) - 1


@pytest.mark.parametrize("name", U64)
@pytest.mark.parametrize("value", [1 << 64, "1", None, 1.5])
def test_what_is_no_number_of_64_bits_is_refused(name, value):
    with pytest.raises((TypeError, OverflowError)):
        setattr(Monitor(), name, value)


@pytest.mark.parametrize("name", ["block_callback", "rdtsc_callback", "rdtscp_callback", "state"])
def test_addresses_are_read_only(name):
    monitor = Monitor()
    assert getattr(monitor, name) != 0
    with pytest.raises(AttributeError):
        setattr(monitor, name, 1)


def test_callbacks_are_shared_and_state_is_not():
    one, other = Monitor(), Monitor()
    assert one.block_callback == other.block_callback
    assert len({one.block_callback, one.rdtsc_callback, one.rdtscp_callback}) == 3
    assert one.state != other.state


@pytest.mark.parametrize(
    ("registers", "error"),
    [([1], "a value"), ([1, 2] * 33, "too many"), ([1, -1], "negative"), (["x", 1], "int"), (3, "len")],
)
def test_what_is_told_has_numbers_and_values(registers, error):
    with pytest.raises((ValueError, TypeError, OverflowError), match=error):
        Monitor().tell(registers)


def test_there_are_no_other_attributes():
    with pytest.raises(AttributeError):
        Monitor().limits = 1


@pytest.mark.parametrize(
    ("ranges", "entries"),
    [
        ([], []),
        ([0, (1 << 64) - 1], [(1 << 64) - 1]),
        ((1, 2, 3, 4), (5,)),
        (range(2 * MOST), range(MOST)),
    ],
)
def test_arm_takes_sequences_of_addresses(ranges, entries):
    assert Monitor().arm(ranges, entries) is None


@pytest.mark.parametrize(
    ("ranges", "entries", "error"),
    [
        (range(2 * MOST + 2), [], ValueError),
        ([], range(MOST + 1), ValueError),
        ([1], [], ValueError),  # a range without an end
        ([1, 2, 3], [], ValueError),
        ([-1, 2], [], OverflowError),
        ([], [-1], OverflowError),
        ([1, 1 << 64], [], OverflowError),
        ([1, 2.0], [], TypeError),
        (["1", "2"], [], TypeError),
        ([], [None], TypeError),
        (5, [], TypeError),
        ([], None, TypeError),
        ({1, 2}, [], TypeError),
    ],
)
def test_arm_refuses_what_is_none(ranges, entries, error):
    with pytest.raises(error):
        Monitor().arm(ranges, entries)


@pytest.mark.parametrize("arguments", [(), ([],), ([], [], [])])
def test_arm_wants_two_arguments(arguments):
    with pytest.raises(TypeError):
        Monitor().arm(*arguments)


def test_a_sequence_that_lies_about_its_length_is_an_error():
    class Liar:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index > 1:
                raise IndexError(index)
            return index

    with pytest.raises(IndexError):
        Monitor().arm(Liar(), [])


def test_arm_keeps_no_references():
    # Numbers too large for Python's cache of small ones, so that each has a count of its own.
    ranges, entries = [1 << 40, 1 << 41], [1 << 42]
    watched = [ranges, entries, *ranges, *entries]
    before = [sys.getrefcount(each) for each in watched]
    monitor = Monitor()
    for _ in range(1000):
        monitor.arm(ranges, entries)
        with pytest.raises(OverflowError):
            monitor.arm(ranges, [entries[0], -1])
        with pytest.raises(TypeError):
            monitor.arm([ranges[0], "x"], entries)
    assert [sys.getrefcount(each) for each in watched] == before


def test_monitors_are_freed():
    gc.collect()
    before = sys.getrefcount(Monitor)
    kept = [Monitor() for _ in range(100)]
    assert sys.getrefcount(Monitor) == before + 100
    del kept
    gc.collect()
    assert sys.getrefcount(Monitor) == before


def test_reading_attributes_leaks_nothing():
    monitor = Monitor()
    monitor.time_ns = 1 << 60
    before = sys.getrefcount(monitor)
    for _ in range(100):
        _ = monitor.time_ns, monitor.state, monitor.block_callback
    assert sys.getrefcount(monitor) == before
