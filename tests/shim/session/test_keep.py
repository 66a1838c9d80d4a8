"""The rows of a run that keeps its accesses: the same that the reference sees, and no other than its tables tell of."""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

import payloads
from payloads import catalogue
from shim.config.platform import load_platform
from shim.session import run as run_module
from shim.session.request import Request
from shim.session.run import Session
from shim.trace.accesses import PythonRecorder
from shim.trace.native import Keep, NativeRecorder
from shim.trace.regions import RegionLog

PROGRAMS = ("hello", "images", "privileged", "handoff_like", "use_after_free", "read_nobodys", "write_code")
#: Little memory: the reference has a byte for each.
PLATFORM = load_platform("q35").with_memory(64 << 20)


def run(folder, name, **more):
    folder.mkdir()
    payload = payloads.open_payload(catalogue.program(f"program:{name}"))
    return Session(Request(payload, PLATFORM, trace="exact", **more), folder).run()


def files(folder):
    return sorted((folder / "accesses").iterdir())


def rows_of(folder):
    return [tuple(row.values()) for path in files(folder) for row in pq.read_table(path).to_pylist()]


def table(folder, name):
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


def digest(rows):
    keys = ((address, pc | size.bit_length() - 1 << 56 | write << 63) for pc, address, size, write, *_ in rows)
    return hashlib.sha256(b"".join(struct.pack("<QQ", *each) for each in keys)).hexdigest()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run's folder with all rows, its description, and the rows: each made once."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("kept") / name
            report = run(folder, name, keep=True)
            made[name] = SimpleNamespace(folder=folder, report=report, rows=rows_of(folder))
        return made[name]

    return get


@pytest.fixture
def reference(tmp_path, monkeypatch):
    """What the reference recorder sees of a program, access by access."""
    seen = []

    class Noting(PythonRecorder):
        def access(self, pc, address, size, write):
            region = self.regions.at(address)
            seen.append((pc, address, size, write, region.id if region else 0, self._call))
            super().access(pc, address, size, write)

    def watch(name):
        monkeypatch.setattr(run_module, "PythonRecorder", Noting)
        return run(tmp_path / "reference", name, recorder="python"), seen

    return watch


@pytest.mark.parametrize("name", PROGRAMS)
def test_rows_are_those_that_the_reference_sees(name, kept, reference):
    report, seen = reference(name)
    assert kept(name).rows == seen
    assert kept(name).report.accesses == report.accesses.model_copy(update={"kept": True})


@pytest.mark.parametrize("name", PROGRAMS)
def test_their_digest_is_the_runs(name, kept):
    accesses, rows = kept(name).report.accesses, kept(name).rows
    assert digest(rows) == accesses.digest
    assert accesses.kept is True
    assert len(rows) == accesses.count > 0
    assert [sum(write is kind for _, _, _, write, *_ in rows) for kind in (False, True)] == [
        accesses.reads,
        accesses.writes,
    ]


@pytest.mark.parametrize("name", PROGRAMS)
def test_their_calls_are_those_that_had_begun(name, kept):
    begins = [row["first_access"] for row in table(kept(name).folder, "calls")]
    assert begins == sorted(begins)
    assert [row[-1] for row in kept(name).rows] == [bisect_right(begins, seq) for seq in range(len(kept(name).rows))]


@pytest.mark.parametrize("name", PROGRAMS)
def test_their_regions_hold_the_address_and_live(name, kept):
    regions = {row["id"]: row for row in table(kept(name).folder, "regions")}
    for _, address, _, _, region, call in kept(name).rows:
        if region:
            row = regions[region]
            assert row["start"] <= address < row["end"]
            assert row["born_call"] is None or call > row["born_call"]
            # It may die after the call that was the last to begin.
            assert row["died_call"] is None or call - 1 <= row["died_call"]
        else:
            for row in regions.values():
                born = -1 if row["born_call"] is None else row["born_call"]
                died = call if row["died_call"] is None else row["died_call"]
                assert not (row["start"] <= address < row["end"] and born < call - 1 < died)


@pytest.mark.parametrize("name", PROGRAMS)
def test_they_add_up_to_what_is_folded(name, kept):
    folded = defaultdict(lambda: [0, 0, None, None])
    for seq, (pc, _, size, write, region, call) in enumerate(kept(name).rows):
        entry = folded[region, pc, write, size, call]
        entry[0] += 1
        entry[1] += size
        entry[2] = seq if entry[2] is None else entry[2]
        entry[3] = seq
    touched = [row for row in table(kept(name).folder, "touched") if row["origin"] == "cpu"]
    assert all(row["first_call"] == row["last_call"] for row in touched)
    keys = ("region", "pc", "write", "size", "first_call")
    sums = ("count", "bytes", "first_seq", "last_seq")
    assert folded == {tuple(row[key] for key in keys): [row[each] for each in sums] for row in touched}
    assert len(touched) == len(folded)


@pytest.mark.parametrize("name", PROGRAMS)
def test_they_add_up_to_the_regions_bytes(name, kept):
    sums = Counter()
    for _, _, size, write, region, _ in kept(name).rows:
        sums[region, write] += size
    for row in table(kept(name).folder, "regions"):
        assert (row["bytes_read"], row["bytes_written"]) == (sums[row["id"], False], sums[row["id"], True])


def test_a_run_that_keeps_rows_is_the_same_run(kept, tmp_path):
    other = run(tmp_path / "other", "images")
    one = kept("images").report
    assert other.accesses.kept is False
    assert not (tmp_path / "other" / "accesses").exists()
    assert one.accesses == other.accesses.model_copy(update={"kept": True})
    assert (one.memory, one.calls, one.findings, one.outcome) == (
        other.memory,
        other.calls,
        other.findings,
        other.outcome,
    )
    for path in kept("images").folder.rglob("*.parquet"):
        name = path.relative_to(kept("images").folder)
        if name.parts[0] != "accesses":
            assert path.read_bytes() == (tmp_path / "other" / name).read_bytes(), name


@pytest.mark.parametrize("calls", [(20, 30), (None, 3), (60, None), (0, 1), (None, 0), (67, 9999)])
def test_rows_between_two_calls(calls, kept, tmp_path):
    report = run(tmp_path / "part", "images", keep=True, keep_calls=calls)
    begins = [row["first_access"] for row in table(tmp_path / "part", "calls")]
    first = 0 if calls[0] is None else begins[calls[0]]
    last = begins[calls[1]] if calls[1] is not None and calls[1] < len(begins) else None
    assert rows_of(tmp_path / "part") == kept("images").rows[first:last]
    assert [path.name for path in files(tmp_path / "part")] == [f"{first:016d}.parquet"]
    # The digest is of all rows all the same, but they are not all there.
    assert report.accesses == kept("images").report.accesses.model_copy(update={"kept": False})


def test_calls_that_never_come_leave_no_rows(tmp_path):
    report = run(tmp_path / "part", "hello", keep=True, keep_calls=(1000, None))
    assert not (tmp_path / "part" / "accesses").exists()
    assert report.accesses.kept is False


@pytest.mark.parametrize("most", [0, 1, 1000, 10**9])
def test_not_more_than_the_first_rows(most, kept, tmp_path):
    report = run(tmp_path / "first", "images", keep=True, most_rows=most)
    everything = kept("images").rows
    assert report.accesses.count == len(everything)
    assert report.accesses.digest == digest(everything[:most])
    assert (rows_of(tmp_path / "first") if most else []) == everything[:most]


@pytest.mark.parametrize("part", [(None, None), (1, 3), (5, None)])
def test_more_rows_than_the_ring_holds(part, tmp_path):
    """They reach the writer piece by piece, and calls begin within the pieces as well as between them."""
    count, every = 2_200_000, 333_333
    regions = RegionLog(lambda _region: None)
    recorder = NativeRecorder(regions, int, 1 << 20, SimpleNamespace(packed=lambda *_: None), Keep(tmp_path, *part))
    regions.born(0x1000, 0x9000, "pool", "", "LoaderData", "", None)
    access = recorder.folder.access
    for seq in range(count):
        if seq % every == 0 and seq:
            recorder.begin_call(seq // every)
        access(0x400000 + seq % 5003, 0x1000 + seq % 0x8000, 1 << seq % 4, seq % 3 == 0)
    recorder.finish()
    # The first call begins after the first interval, and has the number 0.
    first = 0 if part[0] is None else every * (part[0] + 1)
    last = count if part[1] is None else every * (part[1] + 1)
    rows = pq.ParquetDataset(tmp_path / "accesses").read()
    seq = np.arange(first, last)
    assert files(tmp_path)[0].name == f"{first:016d}.parquet"
    for name, expected in {
        "pc": 0x400000 + seq % 5003,
        "address": 0x1000 + seq % 0x8000,
        "size": 1 << seq % 4,
        "write": seq % 3 == 0,
        "region": np.ones_like(seq),
        "call": seq // every,
    }.items():
        assert np.array_equal(rows[name].to_numpy(), expected), name


def test_the_option_of_run(command, tmp_path):
    assert command("run", "program:hello", "--keep-accesses", "--out", "run", "--quiet").code == 0
    assert [path.name for path in files(tmp_path / "run")] == [f"{0:016d}.parquet"]
