"""The native recorder gives what the reference gives: same digest, totals, rows and regions."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

import payloads
from payloads import catalogue
from shim.config.platform import load_platform
from shim.session.run import Request, Session
from shim.trace.accesses import PythonRecorder
from shim.trace.native import NativeRecorder
from shim.trace.regions import RegionLog

TOP = 1 << 20
#: A few addresses, so that accesses and regions meet.
ADDRESS = st.integers(0, 300).map(lambda at: 0x1000 + at)
STEP = st.one_of(
    st.tuples(
        st.just("access"), st.sampled_from((0x10, 0x14, 1 << 47)), ADDRESS, st.sampled_from((1, 2, 4, 8)), st.booleans()
    ),
    st.tuples(st.just("service"), ADDRESS, st.integers(1, 100), st.booleans()),
    st.tuples(st.just("born"), ADDRESS, st.integers(1, 80)),
    st.tuples(st.just("died"), ADDRESS, st.integers(1, 80)),
    st.tuples(st.just("call")),
)


class Run:
    """One recorder and its region log, driven step by step."""

    def __init__(self, kind):
        self.buried = []
        self.calls = 0
        self.regions = RegionLog(self.buried.append)
        if kind == "native":
            self.recorder = NativeRecorder(self.regions, lambda: self.calls, lambda: 0x77, TOP)
        else:
            self.recorder = PythonRecorder(self.regions, lambda: self.calls, lambda: 0x77, TOP)

    def do(self, what, *arguments):
        match what:
            case "access":
                self.recorder.access(*arguments)
            case "service":
                self.recorder.service_access(*arguments)
            case "born":
                start, size = arguments
                self.regions.born(start, start + size, "pool", "", "x", self.calls)
            case "died":
                start, size = arguments
                self.regions.died(start, start + size, self.calls)
            case _:
                self.calls += 1
                getattr(self.recorder, "begin_call", lambda _begun: None)(self.calls)

    def outcome(self):
        self.regions.end()
        recorder = self.recorder
        return (
            recorder.summary(),
            list(recorder.rows()),
            list(recorder.coverage()),
            list(recorder.findings()),
            self.buried,
        )


@given(st.lists(STEP, max_size=60))
def test_equals_the_reference_step_by_step(steps):
    native, reference = Run("native"), Run("python")
    for step in steps:
        native.do(*step)
        reference.do(*step)
    assert native.outcome() == reference.outcome()


def test_many_kinds_of_accesses():
    """More entries than the table begins with, and more rows than the ring holds."""
    native, reference = Run("native"), Run("python")
    for run in (native, reference):
        run.regions.born(0x1000, 0x9000, "pool", "", "x", 0)
        for i in range(1_200_000):
            run.recorder.access(0x400000 + i % 20_011, 0x1000 + i % 0x8000, 1 << i % 4, i % 3 == 0)
    assert native.outcome() == reference.outcome()


@pytest.mark.parametrize("size", [0, 3, 16])
def test_refuses_an_access_that_no_processor_makes(size):
    run = Run("native")
    with pytest.raises(ValueError, match="1, 2, 4 or 8"):
        run.recorder.access(1, 2, size, False)
    run.recorder.close()


def test_splice_refuses_what_is_not_there():
    run = Run("native")
    for arguments in ((0, 1, b""), (1, 0, b""), (-1, 0, b""), (0, 0, b"short")):
        with pytest.raises(ValueError, match="no such ranges"):
            run.recorder.folder.splice(*arguments)
    run.recorder.close()


def test_recorders_can_be_dropped():
    """Their memory goes with them: each holds megabytes."""
    for _ in range(50):
        Run("native").recorder.close()
    gc.collect()


@pytest.mark.parametrize(
    "name", ["hello", "events", "images", "protocols", "privileged", "handoff_like", "stack_overflow"]
)
def test_equals_the_reference_on_programs(name, tmp_path):
    """Whole runs: what run.json says of accesses, and both tables, byte for byte."""
    payload = payloads.open_payload(catalogue.program(f"program:{name}"))
    reports = {}
    for recorder in ("native", "python"):
        (tmp_path / recorder).mkdir()
        request = Request(payload, load_platform("q35"), trace="exact", recorder=recorder)
        reports[recorder] = Session(request, tmp_path / recorder).run()
    native, reference = reports["native"], reports["python"]
    assert native.accesses == reference.accesses
    assert native.accesses.count > 0
    assert (native.memory, native.calls, native.outcome) == (reference.memory, reference.calls, reference.outcome)
    assert (native.engine.recorder, reference.engine.recorder) == ("native", "python")
    assert native.findings == reference.findings
    for table in ("touched", "regions", "coverage/bytes"):
        files = [(tmp_path / recorder / f"{table}.parquet").read_bytes() for recorder in reports]
        assert files[0] == files[1]
