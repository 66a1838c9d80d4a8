"""Virtual time and seeded bytes."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from shim.machine._native import Monitor
from shim.machine.time import SeededEntropy, VirtualClock

END = (1 << 64) - 1


@given(st.lists(st.integers(0, 100), max_size=20))
@settings(deadline=None, max_examples=100, database=None)
def test_the_stream_does_not_depend_on_the_pieces_it_is_taken_in(sizes):
    whole = SeededEntropy(7, "test").take(sum(sizes))
    entropy = SeededEntropy(7, "test")
    pieces = [entropy.take(size) for size in sizes]
    assert [len(piece) for piece in pieces] == sizes
    assert b"".join(pieces) == whole


def test_the_stream_goes_on_and_does_not_repeat():
    entropy = SeededEntropy(0, "test")
    blocks = {entropy.take(16) for _ in range(1000)}
    assert len(blocks) == 1000


def test_the_stream_is_sha256_over_seed_purpose_and_counter():
    # Results that people have kept depend on it.
    expected = b"".join(hashlib.sha256(f"efi-shim/entropy/42/{i}".encode()).digest() for i in range(3))
    assert SeededEntropy(42, "entropy").take(96) == expected


def test_seeds_and_purposes_have_streams_of_their_own():
    streams = {SeededEntropy(seed, purpose).take(32) for seed in (-1, 0, 1, 1 << 64) for purpose in ("a", "b")}
    assert len(streams) == 8


def test_the_clock_is_the_monitors():
    monitor = Monitor()
    clock = VirtualClock(monitor)
    assert clock.now == 0
    clock.advance(5)
    assert (clock.now, monitor.time_ns) == (5, 5)
    monitor.time_ns = 1000
    assert clock.now == 1000


def test_time_ends_and_does_not_turn_over():
    clock = VirtualClock(Monitor())
    clock.advance(END - 1)
    clock.advance(0)
    assert clock.now == END - 1
    clock.advance(1)
    assert clock.now == END
    clock.advance(1)
    clock.advance(END)
    clock.advance(1 << 80)
    assert clock.now == END
