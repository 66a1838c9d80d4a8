"""The native recorder gives what the reference gives: same digest, totals, rows and regions."""

from __future__ import annotations

import gc

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import payloads
from efi_services.ports import Access
from payloads import catalogue
from shim.config.platform import load_platform
from shim.session.request import Request
from shim.session.run import Session
from shim.trace import native as native_module
from shim.trace.tables import TOUCHED

#: A few addresses, so that accesses and regions meet.
ADDRESS = st.integers(0, 300).map(lambda at: 0x1000 + at)
STEP = st.one_of(
    st.tuples(
        st.just("access"), st.sampled_from((0x10, 0x14, 1 << 47)), ADDRESS, st.sampled_from((1, 2, 4, 8)), st.booleans()
    ),
    st.tuples(st.just("service_access"), ADDRESS, st.integers(0, 100), st.booleans()),
    st.tuples(st.just("block"), ADDRESS, st.integers(1, 8)),
    st.tuples(st.just("exited")),
    st.tuples(
        st.just("born"),
        ADDRESS,
        st.integers(1, 80),
        st.sampled_from(("pool", "stack", "image", "firmware")),
        st.sampled_from(("LoaderData", "BootServicesData")),
        st.sampled_from((Access.RW, Access.RX, Access.READ)),
    ),
    st.tuples(st.just("died"), ADDRESS, st.integers(1, 80)),
    st.tuples(st.just("call")),
)


def do(bench, what, *arguments):
    match what:
        case "born":
            start, size, kind, type_, access = arguments
            bench.born(start, start + size, kind, type_, access=access)
        case "died":
            start, size = arguments
            bench.died(start, start + size)
        case "call":
            bench.call()
        case _:
            getattr(bench.recorder, what)(*arguments)


@given(steps=st.lists(STEP, max_size=60))
def test_equals_the_reference_step_by_step(watch, steps):
    native, reference = watch("native"), watch("python")
    for step in steps:
        do(native, *step)
        do(reference, *step)
    assert native.outcome() == reference.outcome()


def test_many_kinds_of_accesses(watch):
    """More entries than the table begins with, and more rows than the ring holds."""
    native, reference = watch("native"), watch("python")
    for bench in (native, reference):
        bench.born(0x1000, 0x9000)
        for i in range(1_200_000):
            bench.recorder.access(0x400000 + i % 5_003, 0x1000 + i % 0x8000, 1 << i % 4, i % 3 == 0)
    assert native.outcome() == reference.outcome()


def test_more_entries_than_it_keeps(watch):
    """They become rows early: several rows of one interval then are about the same instruction."""
    native = watch("native")
    for _ in range(2):
        for pc in range(300_000):
            native.recorder.access(pc, 0x1000, 1, False)
    native.finish()
    rows = native.rows.named(TOUCHED)
    assert len(rows) == 600_000
    assert {row["count"] for row in rows} == {1}
    assert [row["first_seq"] for row in rows] == list(range(600_000))


def test_what_piles_up_is_passed_on(watch, monkeypatch):
    monkeypatch.setattr(native_module, "_PENDING", 1000)
    native = watch("native")
    for pc in range(100):
        native.recorder.access(pc, 0x1000, 1, False)
    assert not native.rows.tables
    native.call()
    assert len(native.rows.tables["touched"]) == 100
    native.recorder.close()


def test_a_failure_of_another_thread_is_told(watch):
    native = watch("native")
    native.recorder._sha = None
    for _ in range(1 << 21):  # more than the ring holds: the emulation does not wait for ever
        native.recorder.folder.access(1, 0x1000, 1, False)
    with pytest.raises(AttributeError):
        native.recorder.relieve()
    with pytest.raises(AttributeError):
        native.finish()


@pytest.mark.parametrize("size", [0, 3, 16])
def test_refuses_an_access_that_no_processor_makes(watch, size):
    run = watch("native")
    with pytest.raises(ValueError, match="1, 2, 4 or 8"):
        run.recorder.access(1, 2, size, False)
    run.recorder.close()


def test_splice_refuses_what_is_not_there(watch):
    run = watch("native")
    for arguments in ((0, 1, b""), (1, 0, b""), (-1, 0, b""), (0, 0, b"short")):
        with pytest.raises(ValueError, match="no such ranges"):
            run.recorder.folder.splice(*arguments)
    run.recorder.close()


def test_recorders_can_be_dropped(watch):
    """Their memory goes with them: each holds megabytes."""
    for _ in range(50):
        watch("native").recorder.close()
    gc.collect()


@pytest.mark.parametrize(
    "name", ["hello", "selftest", "images", "exit_events", "privileged", "handoff_like", "stack_overflow"]
)
def test_equals_the_reference_on_programs(name, tmp_path):
    """What run.json says of accesses, and both tables, byte for byte; of runs that are long, the begin."""
    payload = payloads.open_payload(catalogue.program(f"program:{name}"))
    # The reference has three bytes for each byte of memory.
    platform = load_platform("q35").with_memory(64 << 20)
    reports = {}
    for recorder in ("native", "python"):
        (tmp_path / recorder).mkdir()
        request = Request(payload, platform, trace="exact", recorder=recorder, max_blocks=80_000)
        reports[recorder] = Session(request, tmp_path / recorder).run()
    native, reference = reports["native"], reports["python"]
    assert native.accesses == reference.accesses
    assert native.accesses.count > 0
    assert (native.memory, native.calls, native.outcome) == (reference.memory, reference.calls, reference.outcome)
    assert (native.engine.recorder, reference.engine.recorder) == ("native", "python")
    assert native.findings == reference.findings
    for table in ("calls", "touched", "regions", "coverage/bytes", "coverage/blocks"):
        tables = [pq.read_table(tmp_path / recorder / f"{table}.parquet") for recorder in reports]
        assert tables[0].equals(tables[1]), table
