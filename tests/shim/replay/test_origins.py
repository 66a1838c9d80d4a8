"""Where what a kernel finds comes from: against the rows of all accesses."""

import json

import pyarrow.parquet as pq
import pytest

import payloads
from payloads import catalogue
from shim.config.platform import load_platform
from shim.errors import DiffersError, UnreadableError, UsageError
from shim.replay import Given, find_origins
from shim.replay.origins import FILE, load_origins
from shim.session.request import Request
from shim.session.run import Session
from shim.trace.folder import open_run

NAME = "program:handoff_like"
PROGRAM = payloads.open_payload(catalogue.program(NAME), NAME)
GIVEN = Given(PROGRAM)


@pytest.fixture
def run(tmp_path):
    platform = load_platform("q35").with_memory(64 << 20)
    Session(Request(PROGRAM, platform, trace="exact", keep=True), tmp_path).run()
    return open_run(tmp_path)


def edit(run, **parts):
    path = run.path / "handoff" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))


def watch(run, address, size):
    """Let a hand-off's state tell of an initrd there."""
    edit(
        run,
        boot_params={
            "address": address, "e820": [], "setup_data": [], "command_line": None, "command_line_address": 0,
            "efi_info": {"memory_map": 0, "memory_map_size": 0}, "initrd_address": address, "initrd_size": size,
        },
    )  # fmt: skip


def test_writers_are_those_of_the_rows(run):
    rows = [row for path in sorted((run.path / "accesses").iterdir()) for row in pq.read_table(path).to_pylist()]
    stack = max(row["address"] for row in rows if row["write"]) & ~0xFFF
    last = {
        row["address"] + offset: row["pc"]
        for row in rows
        if row["write"]
        for offset in range(row["size"])
        if stack <= row["address"] + offset < stack + 0x1000
    }
    watch(run, stack, 0x1000)
    found = {each.name: each for each in find_origins(run, GIVEN)}
    told = {
        stack + offset: source.pc
        for source in found["initrd"].sources
        for offset in range(source.offset, source.offset + source.size)
        if source.by == "instruction"
    }
    assert told == last
    assert last
    assert all(each.function.startswith("payload+") for each in found["initrd"].sources if each.by == "instruction")
    assert load_origins(run) == list(found.values())


def test_what_a_service_wrote_and_what_nobody_wrote(run):
    get_map = next(
        call for call in pq.read_table(run.path / "calls.parquet").to_pylist() if call["service"] == "GetMemoryMap"
    )
    buffer = int(json.loads(get_map["arguments"])["memory_map"], 16)
    watch(run, buffer, 48)
    found = {each.name: each for each in find_origins(run, GIVEN)}
    (source,) = found["initrd"].sources
    assert (source.by, source.service, source.pc) == ("service", "GetMemoryMap", None)
    assert {each.by for each in found["GDT"].sources} == {"nobody"}


def test_another_run_has_no_origins(run):
    path = run.path / "run.json"
    told = json.loads(path.read_text())
    told["accesses"]["digest"] = "0" * 64
    path.write_text(json.dumps(told))
    with pytest.raises(DiffersError, match=r"accesses\.digest"):
        find_origins(open_run(run.path), GIVEN)
    assert not (run.path / FILE).exists()


@pytest.mark.parametrize(
    "damage",
    [{"registers": {}}, {"architecture": "vax"}, {"boot_params": []}, {"registers": {"gdt_base": "x", "gdt_limit": 1}}],
)
def test_a_damaged_state(run, damage):
    edit(run, **damage)
    with pytest.raises(UnreadableError, match="damaged"):
        find_origins(run, GIVEN)


def test_a_state_that_tells_of_no_memory(run):
    watch(run, 1 << 63, 1)
    with pytest.raises(UsageError, match="can't be watched"):
        find_origins(run, GIVEN)


def test_no_hand_off(run):
    (run.path / "handoff" / "state.json").unlink()
    with pytest.raises(UnreadableError, match="no kernel entry"):
        find_origins(run, GIVEN)


@pytest.mark.parametrize("damage", ["{", "[1]", '[{"name": "a"}]', "[" * 100_000])
def test_damaged_origins(run, damage):
    (run.path / FILE).write_text(damage)
    with pytest.raises(UnreadableError, match=r"origins\.json: damaged"):
        load_origins(run)
