"""The recorders beside a plain list of accesses, and what each kind of step leaves."""

import hashlib
import struct
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.trace import accesses as accesses_module
from shim.trace.tables import BLOCKS, BYTES, TOUCHED

SIZES = (1, 2, 4, 8)


def naive_digest(accesses):
    sha = hashlib.sha256()
    for pc, address, size, write in accesses:
        log2 = size.bit_length() - 1
        sha.update(struct.pack("<QQ", address, pc + (log2 << 56) + ((1 << 63) if write else 0)))
    return sha.hexdigest()


access = st.tuples(
    st.sampled_from([0x1000, 0x1004, 0x7FFF_FFFF_FFFF]),
    st.one_of(st.integers(0, 40), st.just((1 << 64) - 8)),
    st.sampled_from(SIZES),
    st.booleans(),
)


@pytest.mark.parametrize("kind", ["python", "native"])
@given(steps=st.lists(st.one_of(access, st.just("call")), max_size=60))
@settings(deadline=None, max_examples=100, database=None)
def test_it_agrees_with_a_list(kind, watch, steps):
    bench = watch(kind)
    bench.born(10, 20)
    bench.born(20, 30)

    def region(address):
        return 1 if 10 <= address < 20 else 2 if 20 <= address < 30 else 0

    done, folded = [], defaultdict(list)
    for step in steps:
        if step == "call":
            assert bench.call() == len(done)
            continue
        pc, address, size, write = step
        folded[bench.begun, region(address), pc, write, size].append(len(done))
        done.append(step)
        bench.recorder.access(pc, address, size, write)
    bench.finish()

    found = bench.rows.named(TOUCHED)
    for row in found:
        del row["findings"]
    assert found == [
        {
            "origin": "cpu",
            "region": region,
            "pc": pc,
            "write": write,
            "size": size,
            "count": len(seqs),
            "bytes": len(seqs) * size,
            "first_seq": seqs[0],
            "last_seq": seqs[-1],
            "first_call": begun,
            "last_call": begun,
        }
        for (begun, region, pc, write, size), seqs in folded.items()
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
    for owner in bench.buried:
        for write, counted in ((False, owner.bytes_read), (True, owner.bytes_written)):
            assert counted == sum(each[2] for each in done if each[3] is write and region(each[1]) == owner.id)


def test_an_access_belongs_to_the_region_that_its_first_byte_lies_in(watched):
    watched.born(0, 10)
    watched.recorder.access(1, 9, 8, False)
    watched.finish()
    (row,) = watched.rows.named(TOUCHED)
    assert (row["region"], row["bytes"], watched.buried[0].bytes_read) == (1, 8, 8)


def test_an_access_belongs_to_the_owner_of_its_moment(watched):
    watched.born(0, 10)
    watched.recorder.access(1, 0, 1, True)
    watched.died(0, 10)
    watched.recorder.access(1, 0, 1, True)
    watched.born(0, 10)
    watched.recorder.access(1, 0, 1, True)
    watched.finish()
    assert [(row["region"], row["count"]) for row in watched.rows.named(TOUCHED)] == [(1, 1), (0, 1), (2, 1)]


def test_nothing_at_all(watched):
    watched.finish()
    assert not watched.rows.tables
    summary = watched.recorder.summary()
    assert summary["digest"] == hashlib.sha256().hexdigest()
    assert summary["count"] == 0
    assert list(watched.recorder.findings()) == []


@pytest.mark.parametrize("block", [16, 48, 1 << 20])
def test_the_digest_does_not_depend_on_when_it_is_computed(watch, monkeypatch, block):
    monkeypatch.setattr(accesses_module, "_HASH_AT", block)
    bench = watch()
    done = [(i, i * 3, SIZES[i % 4], i % 2 == 0) for i in range(100)]
    for each in done:
        bench.recorder.access(*each)
    bench.finish()
    assert bench.recorder.summary()["digest"] == naive_digest(done)
    assert bench.recorder.summary() == bench.recorder.summary()


def test_order_address_pc_size_and_direction_are_in_the_digest(watch):
    def digest(*accesses):
        bench = watch("native")
        for each in accesses:
            bench.recorder.access(*each)
        return bench.finish().recorder.summary()["digest"]

    one, other = (1, 2, 4, False), (1, 3, 4, False)
    all_of_them = [
        digest(one), digest(other), digest(one, other), digest(other, one), digest((2, 2, 4, False)),
        digest((1, 2, 8, False)), digest((1, 2, 4, True)), digest(),
    ]  # fmt: skip
    assert len(set(all_of_them)) == len(all_of_them)


def test_what_services_touch_is_recorded_beside_it(watched):
    watched.born(0, 100)
    watched.call()
    watched.recorder.service_access(10, 20, True)
    watched.recorder.service_access(90, 10, True)
    watched.recorder.service_access(0, 1, False)
    watched.call()
    watched.recorder.service_access(0, 2, False)
    watched.finish()
    written, read, later = watched.rows.named(TOUCHED)
    assert written == {
        "origin": "service", "region": 1, "pc": 0x77, "write": True, "size": 0, "count": 2, "bytes": 30,
        "first_seq": None, "last_seq": None, "first_call": 1, "last_call": 1, "findings": 0,
    }  # fmt: skip
    assert (read["write"], read["count"], read["bytes"], read["last_call"]) == (False, 1, 1, 1)
    assert (later["bytes"], later["first_call"]) == (2, 2)
    # The digest, the totals and the regions' counts are the CPU's.
    assert watched.recorder.summary()["count"] == 0
    assert watched.recorder.summary()["digest"] == hashlib.sha256().hexdigest()
    (region,) = watched.buried
    assert (region.bytes_read, region.bytes_written) == (0, 0)


def test_a_service_that_touches_several_regions_touches_each(watched):
    watched.born(10, 20)
    watched.born(20, 25)
    watched.recorder.service_access(5, 30, True)
    watched.finish()
    assert [(row["region"], row["count"], row["bytes"]) for row in watched.rows.named(TOUCHED)] == [
        (0, 2, 5 + 10),  # before and behind
        (1, 1, 10),
        (2, 1, 5),
    ]


def test_a_service_that_touches_nothing_leaves_no_row(watched):
    watched.recorder.service_access(5, 0, True)
    assert not watched.finish().rows.tables


def test_accesses_of_the_cpu_and_of_services_are_told_apart(watched):
    watched.recorder.access(0x77, 0, 1, True)
    watched.recorder.service_access(0, 1, True)
    watched.finish()
    assert [(row["origin"], row["size"]) for row in watched.rows.named(TOUCHED)] == [("cpu", 1), ("service", 0)]


def test_blocks_are_counted_by_interval_and_region(watched):
    watched.born(0x100, 0x200)
    for _ in range(3):
        watched.recorder.block(0x110, 5)
    watched.recorder.block(0x110, 7)
    watched.recorder.block(0x400, 5)
    watched.call()
    watched.recorder.block(0x110, 5)
    watched.finish()
    assert watched.rows.tables[BLOCKS.name] == [
        (1, 0x110, 5, 3, 0),
        (1, 0x110, 7, 1, 0),
        (0, 0x400, 5, 1, 0),
        (1, 0x110, 5, 1, 1),
    ]


def test_touched_bytes_are_runs(watched):
    watched.born(0x100, 0x30000)
    for address, size, write in (
        (0x100, 8, True), (0x108, 4, True), (0x10D, 1, True),  # a gap of one byte
        (0xFFFE, 4, False), (0x10002, 8, False),  # over the end of a granule of the map
        (0x20000 - 2, 2, False), (0x2FFFF, 1, False),  # up to one, and the region's last byte
    ):  # fmt: skip
        watched.recorder.access(1, address, size, write)
    watched.finish()
    assert watched.rows.tables[BYTES.name] == [
        (1, False, 0xFFFE, 0x1000A),
        (1, False, 0x1FFFE, 0x20000),
        (1, False, 0x2FFFF, 0x30000),
        (1, True, 0x100, 0x10C),
        (1, True, 0x10D, 0x10E),
    ]


def test_the_next_owner_begins_untouched(watched):
    watched.born(0x100, 0x200)
    watched.recorder.access(1, 0x110, 8, True)
    watched.died(0x100, 0x200)
    watched.recorder.access(1, 0x180, 8, True)  # nobody's business, but not the next owner's
    watched.born(0x100, 0x200)
    watched.recorder.access(1, 0x110, 4, True)
    watched.finish()
    assert watched.rows.tables[BYTES.name] == [(1, True, 0x110, 0x118), (2, True, 0x110, 0x114)]
