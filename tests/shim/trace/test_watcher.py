"""The observer: from what the firmware tells to tables, findings and totals."""

import json
import time

import pyarrow.parquet as pq
import pytest

from efi_services.dispatch import Call
from shim.machine.user.mode import Performed
from shim.trace.accesses import PythonRecorder
from shim.trace.watcher import Watcher


def call(seq, **changes):
    values = {
        "seq": seq, "parent": None, "depth": 0, "image": "stub", "pc": 0x5000 + seq, "caller": 0x2000, "table": "boot",
        "service": "AllocatePages", "protocol": None, "time": 1000 * seq, "status": "EFI_SUCCESS",
    }  # fmt: skip
    return Call(**{**values, **changes})


@pytest.fixture
def watcher(tmp_path):
    return Watcher(tmp_path, lambda _text: None)


def table(folder, name):
    return pq.read_table(folder / f"{name}.parquet").to_pylist()


def make(watcher, *calls):
    for each in calls:
        watcher.call_begins(each)
        watcher.call_ends(each)


def test_privileged_instructions_become_rows(watcher, tmp_path, monkeypatch):
    monkeypatch.setattr("shim.trace.watcher.MOST_PRIVILEGED", 2)
    later = Performed(0x2000, "cli", "cli", "mask interrupts")
    watcher.privileged("stub", later)
    make(watcher, call(0))
    watcher.privileged("stub", Performed(0x1000, "in al, dx", "in", "read"))
    watcher.privileged("stub", later)
    watcher.privileged("stub", Performed(0x3000, "sti", "sti", "one too many"))
    watcher.close()
    rows = [tuple(each.values()) for each in table(tmp_path, "privileged")]
    assert rows == [
        (0x1000, "stub", "in al, dx", "in", "read", 1, 1),
        (0x2000, "stub", "cli", "cli", "mask interrupts", 2, 0),
    ]
    assert watcher.privileged_by_name == {"cli": 2, "in": 1, "sti": 1}
    assert watcher.findings["privileged-left-out"].count == 1


def test_calls_become_rows(watcher, tmp_path):
    one = call(0, arguments={"pages": 3, "text": "ä\ud800"}, results={"memory": "0x1000"}, bytes_in=5, bytes_out=8)
    other = call(1, parent=0, depth=1, protocol="EFI_RNG_PROTOCOL", service="GetRNG", table="protocol", status=None)
    make(watcher, one, other)
    watcher.close()
    first, second = table(tmp_path, "calls")
    assert json.loads(first.pop("arguments")) == {"pages": 3, "text": "ä\ud800"}
    assert json.loads(first.pop("results")) == {"memory": "0x1000"}
    assert first == {
        "seq": 0, "parent": None, "depth": 0, "image": "stub", "pc": 0x5000, "caller": 0x2000, "table": "boot",
        "service": "AllocatePages", "protocol": None, "status": "EFI_SUCCESS", "bytes_in": 5, "bytes_out": 8,
        "t_virtual_ns": 0, "first_access": None,
    }  # fmt: skip
    assert (second["parent"], second["depth"], second["protocol"], second["status"]) == (0, 1, "EFI_RNG_PROTOCOL", None)


def test_totals_by_name(watcher):
    make(watcher, call(0), call(1), call(2, protocol="P", service="M"), call(3, service="Stall", implemented=False))
    make(watcher, call(4, protocol="P", service="M", implemented=False))
    assert watcher.by_name == {"AllocatePages": 2, "P.M": 2, "Stall": 1}
    assert watcher.unimplemented == {"Stall": 1, "P.M": 1}


def test_it_knows_the_call_that_is_going_on(watcher):
    assert (watcher.begun, watcher.gate, watcher.image) == (0, 0, "")
    watcher.call_begins(call(0, image="loader"))
    assert (watcher.begun, watcher.gate, watcher.image) == (1, 0x5000, "loader")
    watcher.call_begins(call(1))
    assert (watcher.begun, watcher.gate, watcher.image) == (2, 0x5001, "stub")


def test_findings_keep_the_first_case_and_count(watcher):
    watcher.finding("null", "before every call")
    make(watcher, call(0), call(1))
    watcher.finding("null", "another")
    watcher.finding("odd", "in call 1")
    assert {kind: (each.first, each.first_call, each.count) for kind, each in watcher.findings.items()} == {
        "null": ("before every call", None, 2),
        "odd": ("in call 1", 1, 1),
    }


def test_the_console_is_passed_on(tmp_path):
    shown = []
    watcher = Watcher(tmp_path, shown.append)
    watcher.console("a")
    watcher.console("b\n")
    assert shown == ["a", "b\n"]


def test_regions_are_told_with_their_owners_and_calls(watcher, tmp_path):
    watcher.region_born(0, 10, "firmware", "BootServicesData", "page tables")
    make(watcher, call(0), call(1, image="child"))
    for kind in ("pages", "pool", "image", "stack"):
        watcher.region_born(100 * len(kind), 100 * len(kind) + 10, kind, "LoaderData")
    watcher.call_begins(call(2))
    watcher.region_died(0, 5)
    watcher.close()
    found = {(each["kind"], each["start"]): each for each in table(tmp_path, "regions")}
    assert [each["id"] for each in table(tmp_path, "regions")] == [1, 2, 3, 4, 5, 6]
    # Pages and pool belong to who called for them; the rest is the firmware's doing.
    assert found["firmware", 0]["owner"] == ""
    assert found["firmware", 0]["born_call"] is None
    assert found["firmware", 0]["died_call"] == 2
    assert (found["firmware", 5]["born_call"], found["firmware", 5]["died_call"]) == (2, None)
    assert found["pool", 400]["owner"] == "child"
    assert found["pool", 400]["born_call"] == 1
    assert found["stack", 500]["owner"] == ""


def test_lists_of_regions_hold_all_that_ever_were(watcher, tmp_path):
    watcher.region_born(0, 10, "pages", "LoaderData", "a")
    watcher.region_born(5, 15, "pages", "LoaderData", "b")
    watcher.region_died(0, 15)
    watcher.close()
    assert [(each["id"], each["start"], each["end"], each["name"]) for each in table(tmp_path, "regions")] == [
        (1, 0, 10, "a"),
        (2, 5, 15, "b"),
        (3, 0, 5, "a"),
    ]


@pytest.mark.parametrize("exact", [False, True])
def test_accesses_are_counted_only_at_level_exact(tmp_path, exact):
    watcher = Watcher(tmp_path, lambda _text: None)
    watcher.region_born(0, 10, "pages", "LoaderData", "a")
    watcher.region_born(10, 20, "pages", "LoaderData", "b")
    if exact:
        recorder = PythonRecorder(watcher.regions, lambda: watcher.gate, 1 << 20, watcher)
        watcher.watch(recorder)
        recorder.access(1, 0, 8, True)
        recorder.access(1, 0, 4, False)
        watcher.region_died(0, 10)
        make(watcher, call(0))
    watcher.close()
    found = {each["name"]: (each["bytes_read"], each["bytes_written"]) for each in table(tmp_path, "regions")}
    assert found == ({"a": (4, 8), "b": (0, 0)} if exact else {"a": (None, None), "b": (None, None)})
    assert (tmp_path / "touched.parquet").exists() is exact
    if exact:
        assert [(each["region"], each["write"], each["bytes"]) for each in table(tmp_path, "touched")] == [
            (1, True, 8),
            (1, False, 4),
        ]
        assert [each["first_access"] for each in table(tmp_path, "calls")] == [2]


def test_a_run_without_anything_has_tables(watcher, tmp_path):
    watcher.close()
    assert table(tmp_path, "calls") == []
    assert table(tmp_path, "regions") == []


def test_the_dead_are_not_kept(watcher, tmp_path):
    """A payload may allocate and free for as long as it likes."""
    began = time.process_time()
    for _ in range(40_000):
        watcher.region_born(0, 4096, "pages", "LoaderData")
        watcher.region_died(0, 4096)
    assert time.process_time() - began < 20
    assert list(watcher.regions) == []
    watcher.close()
    assert [each["id"] for each in table(tmp_path, "regions")] == list(range(1, 40_001))
