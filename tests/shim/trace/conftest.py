"""A sink that remembers, and both recorders driven step by step."""

from collections import defaultdict

import pytest

from shim.trace.accesses import PythonRecorder
from shim.trace.native import NativeRecorder
from shim.trace.regions import RegionLog

TOP = 1 << 20
GATE = 0x77


class Rows:
    """Takes rows as they come, packed ones unpacked, as one list for each table."""

    def __init__(self):
        self.tables = defaultdict(list)

    def row(self, table, row):
        self.tables[table.name].append(row)

    def packed(self, table, rows):
        columns = [column.to_pylist() for column in table.unpack(rows)]
        self.tables[table.name] += zip(*columns, strict=True)

    def named(self, table):
        names = [column.name for column in table.columns]
        return [dict(zip(names, row, strict=True)) for row in self.tables[table.name]]


class Watched:
    """A recorder with its region log and its sink."""

    def __init__(self, kind="python"):
        self.buried = []
        self.rows = Rows()
        self.begun = 0
        self.gate = GATE
        self.regions = RegionLog(self.buried.append)
        make = NativeRecorder if kind == "native" else PythonRecorder
        self.recorder = make(self.regions, lambda: self.gate, TOP, self.rows)

    def born(self, start, end, kind="pool", type_="LoaderData", name="x", **more):
        self.regions.born(start, end, kind, "", type_, name, self.begun or None, **more)

    def died(self, start, end):
        self.regions.died(start, end, self.begun or None)

    def call(self):
        self.begun += 1
        return self.recorder.begin_call(self.begun)

    def finish(self):
        self.regions.end()
        self.recorder.finish()
        return self

    def outcome(self):
        """All that it gives."""
        self.finish()
        recorder = self.recorder
        return recorder.summary(), dict(self.rows.tables), list(recorder.findings()), self.buried


@pytest.fixture(params=["python", "native"])
def watched(request):
    """One after the other: what holds for the reference holds for the native recorder."""
    made = Watched(request.param)
    yield made
    made.recorder.close()


@pytest.fixture(scope="session")
def watch():
    """For tests that make recorders themselves."""
    return Watched
