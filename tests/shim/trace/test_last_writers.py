"""The last writers of watched bytes, against a dictionary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.errors import UsageError
from shim.trace.last_writers import MOST_WATCHED, TOP, LastWriters, Writer

LOG2 = {1: 0, 2: 1, 4: 2, 8: 3}
#: Address, size, whether it writes, program counter.
ACCESSES = st.lists(
    st.tuples(st.integers(0, 90), st.sampled_from((1, 2, 4, 8)), st.booleans(), st.integers(1, 1 << 40)), max_size=60
)
RANGES = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 20)), max_size=5)
#: After how many accesses, address, size.
SERVICES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 90), st.integers(1, 30)), max_size=5)


def packed(accesses):
    rows = [(at, pc | LOG2[size] << 56 | write << 63) for at, size, write, pc in accesses]
    return np.array(rows, "<u8").tobytes()


def one_by_one(writers, start, size):
    """Who wrote each byte, as (pc, seq, call)."""
    found = {}
    for each in writers.of(start, size):
        for offset in range(each.offset, each.offset + each.size):
            assert offset not in found
            found[start + offset] = each.pc, each.seq, each.call
    return found


@given(ranges=RANGES, accesses=ACCESSES, services=SERVICES, block=st.integers(1, 30))
def test_the_last_write_counts_whoever_makes_it(ranges, accesses, services, block):
    services = sorted(services)
    expected = {at: (None, None, None) for start, size in ranges for at in range(start, start + size)}
    for seq in range(len(accesses) + 61):
        for call, (before, start, size) in enumerate(services):
            expected |= {
                at: (None, None, call) for at in range(start, start + size) if before == seq and at in expected
            }
        if seq < len(accesses):
            start, size, write, pc = accesses[seq]
            expected |= {at: (pc, seq, None) for at in range(start, start + size) if write and at in expected}
    writers = LastWriters(ranges)
    # What services did may be told before the accesses around it, or after them.
    for call, (before, start, size) in enumerate(services):
        writers.service(before, call, start, size)
    for first in range(0, len(accesses), block):
        writers.rows(packed(accesses[first : first + block]), first)
    assert one_by_one(writers, 0, 200) == expected


def test_runs_of_one_writer():
    writers = LastWriters([(0x1000, 16), (0x2000, 4)])
    writers.service(0, -1, 0x0FFC, 8)
    writers.rows(packed([(0x1008, 8, True, 0x77), (0x1001, 1, False, 0x78)]), 5)
    assert list(writers.of(0x1000, 16)) == [
        Writer(0, 4, call=-1),
        Writer(4, 4),
        Writer(8, 8, pc=0x77, seq=5),
    ]
    assert list(writers.of(0x1FFE, 4)) == [Writer(2, 2)]
    assert list(writers.of(0x3000, 4)) == []


def test_the_top_of_memory():
    writers = LastWriters([(TOP - 8, 8)])
    writers.rows(packed([((1 << 64) - 4, 8, True, 8), (TOP - 4, 4, True, 9)]), 0)
    assert one_by_one(writers, TOP - 4, 4) == {TOP - 4 + at: (9, 1, None) for at in range(4)}


def test_more_than_can_be_watched():
    for ranges in ([(0, MOST_WATCHED), (1 << 30, 1)], [(TOP, 1)], [(-1, 4)]):
        with pytest.raises(UsageError, match="can't be watched"):
            LastWriters(ranges)
