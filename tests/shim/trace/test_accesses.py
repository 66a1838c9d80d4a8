"""The recorder beside a plain list of accesses."""

import hashlib
import struct
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.trace import accesses as accesses_module
from shim.trace.accesses import PythonRecorder
from shim.trace.regions import RegionLog
from shim.trace.tables import TOUCHED

SIZES = (1, 2, 4, 8, 16, 32, 64)


class Bench:
    def __init__(self):
        self.dead = []
        self.regions = RegionLog(self.dead.append)
        self.begun = 0
        self.gate = 0
        self.recorder = PythonRecorder(self.regions, lambda: self.begun, lambda: self.gate, 1 << 20)

    def rows(self):
        names = [column.name for column in TOUCHED.columns]
        return [dict(zip(names, row, strict=True)) for row in self.recorder.rows()]


@pytest.fixture
def bench():
    return Bench()


def naive_digest(accesses):
    sha = hashlib.sha256()
    for pc, address, size, write in accesses:
        log2 = size.bit_length() - 1
        sha.update(struct.pack("<QQ", address, pc + (log2 << 56) + ((1 << 63) if write else 0)))
    return sha.hexdigest()


access = st.tuples(
    st.sampled_from([0x1000, 0x1004, 0x7FFF_FFFF_FFFF]),
    st.one_of(st.integers(0, 40), st.just((1 << 64) - 1)),
    st.sampled_from(SIZES),
    st.booleans(),
)


@given(st.lists(st.one_of(access, st.just("call")), max_size=60))
@settings(deadline=None, max_examples=150, database=None)
def test_it_agrees_with_a_list(steps):
    bench = Bench()
    bench.regions.born(10, 20, "pages", "", "", None)
    bench.regions.born(20, 30, "pool", "", "", None)

    def region(address):
        return 1 if 10 <= address < 20 else 2 if 20 <= address < 30 else 0

    done, folded = [], defaultdict(list)
    for step in steps:
        if step == "call":
            bench.begun += 1
            continue
        pc, address, size, write = step
        folded[region(address), pc, write, size].append((len(done), bench.begun))
        done.append(step)
        bench.recorder.access(pc, address, size, write)

    assert bench.rows() == [
        {
            "origin": "cpu",
            "region": region,
            "pc": pc,
            "write": write,
            "size": size,
            "count": len(moments),
            "bytes": len(moments) * size,
            "first_seq": moments[0][0],
            "last_seq": moments[-1][0],
            "first_call": moments[0][1],
            "last_call": moments[-1][1],
        }
        for (region, pc, write, size), moments in sorted(folded.items())
    ]
    sums = {write: [each[2] for each in done if each[3] is write] for write in (False, True)}
    assert bench.recorder.summary() == {
        "count": len(done),
        "reads": len(sums[False]),
        "writes": len(sums[True]),
        "bytes_read": sum(sums[False]),
        "bytes_written": sum(sums[True]),
        "digest": naive_digest(done),
        "kept": False,
    }
    for number, owner in enumerate(bench.regions, 1):
        for write, counted in ((False, owner.bytes_read), (True, owner.bytes_written)):
            assert counted == sum(each[2] for each in done if each[3] is write and region(each[1]) == number)


def test_an_access_belongs_to_the_region_that_its_first_byte_lies_in(bench):
    bench.regions.born(0, 10, "pages", "", "", None)
    bench.recorder.access(1, 9, 8, False)
    (row,) = bench.rows()
    assert (row["region"], row["bytes"], next(iter(bench.regions)).bytes_read) == (1, 8, 8)


def test_an_access_belongs_to_the_owner_of_its_moment(bench):
    bench.regions.born(0, 10, "pages", "", "", None)
    bench.recorder.access(1, 0, 1, True)
    bench.regions.died(0, 10, None)
    bench.recorder.access(1, 0, 1, True)
    bench.regions.born(0, 10, "pages", "", "", None)
    bench.recorder.access(1, 0, 1, True)
    assert [(row["region"], row["count"]) for row in bench.rows()] == [(0, 1), (1, 1), (2, 1)]


def test_nothing_at_all(bench):
    assert bench.rows() == []
    summary = bench.recorder.summary()
    assert summary["digest"] == hashlib.sha256().hexdigest()
    assert summary["count"] == 0


@pytest.mark.parametrize("block", [16, 48, 1 << 20])
def test_the_digest_does_not_depend_on_when_it_is_computed(bench, monkeypatch, block):
    monkeypatch.setattr(accesses_module, "_HASH_AT", block)
    done = [(i, i * 3, SIZES[i % 7], i % 2 == 0) for i in range(100)]
    for each in done[:50]:
        bench.recorder.access(*each)
    assert bench.recorder.summary()["digest"] == naive_digest(done[:50])
    for each in done[50:]:
        bench.recorder.access(*each)
    assert bench.recorder.summary()["digest"] == naive_digest(done)
    assert bench.recorder.summary() == bench.recorder.summary()


def test_order_address_pc_size_and_direction_are_in_the_digest():
    def digest(*accesses):
        bench = Bench()
        for each in accesses:
            bench.recorder.access(*each)
        return bench.recorder.summary()["digest"]

    one, other = (1, 2, 4, False), (1, 3, 4, False)
    all_of_them = [
        digest(one), digest(other), digest(one, other), digest(other, one), digest((2, 2, 4, False)),
        digest((1, 2, 8, False)), digest((1, 2, 4, True)), digest(),
    ]  # fmt: skip
    assert len(set(all_of_them)) == len(all_of_them)


def test_what_services_touch_is_recorded_beside_it(bench):
    bench.regions.born(0, 100, "pages", "", "", None)
    bench.gate, bench.begun = 0x5000, 3
    bench.recorder.service_access(10, 20, True)
    bench.begun = 5
    bench.recorder.service_access(90, 10, True)
    bench.recorder.service_access(0, 1, False)
    read, write = bench.rows()
    assert (read["origin"], read["write"], read["count"], read["bytes"]) == ("service", False, 1, 1)
    assert write == {
        "origin": "service", "region": 1, "pc": 0x5000, "write": True, "size": 0, "count": 2, "bytes": 30,
        "first_seq": None, "last_seq": None, "first_call": 3, "last_call": 5,
    }  # fmt: skip
    # The digest, the totals and the regions' counts are the CPU's.
    assert bench.recorder.summary()["count"] == 0
    assert bench.recorder.summary()["digest"] == hashlib.sha256().hexdigest()
    (region,) = bench.regions
    assert (region.bytes_read, region.bytes_written) == (0, 0)


def test_a_service_that_touches_several_regions_touches_each(bench):
    bench.regions.born(10, 20, "pages", "", "", None)
    bench.regions.born(20, 25, "pool", "", "", None)
    bench.recorder.service_access(5, 30, True)
    assert [(row["region"], row["count"], row["bytes"]) for row in bench.rows()] == [
        (0, 2, 5 + 10),  # before and behind
        (1, 1, 10),
        (2, 1, 5),
    ]


def test_a_service_that_touches_nothing_leaves_no_row(bench):
    bench.recorder.service_access(5, 0, True)
    assert bench.rows() == []


def test_accesses_of_the_cpu_and_of_services_are_told_apart(bench):
    bench.gate = 7
    bench.recorder.access(7, 0, 1, True)
    bench.recorder.service_access(0, 1, True)
    assert [(row["origin"], row["size"]) for row in bench.rows()] == [("cpu", 1), ("service", 0)]
