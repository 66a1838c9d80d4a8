"""The patched engine's memory callback against Unicorn's own memory hooks, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from shim.config.places import cache_folder
from shim.engine import build

HERE = Path(__file__).parent
PROGRAMS = HERE / "memory_programs.toml"
MOVED, MOVED_TO = 0x214000, 0x216000
PROGRAM = {f"{each['arch']}: {each['name']}": each for each in tomllib.loads(PROGRAMS.read_text())["program"]}

Row = tuple[int, int, int, bool]


@cache
def engine() -> Path | None:
    """The patched library's folder in the user's cache."""
    return build.find(cache_folder())


@pytest.fixture(scope="module")
def patched() -> Path:
    folder = engine()
    if folder is None:
        why = "the patched engine isn't built"
        if os.environ.get("EFI_SHIM_REQUIRE_ENGINE") == "1":
            pytest.fail(why)
        pytest.skip(why)
    return folder


@cache
def traces(folder: Path | None, hook: str) -> dict[str, dict[str, Any]]:
    """What the programs did, and what was reported of it."""
    environment = {name: value for name, value in os.environ.items() if name != "LIBUNICORN_PATH"}
    if folder is not None:
        environment["LIBUNICORN_PATH"] = str(folder)
    done = subprocess.run(
        [sys.executable, str(HERE / "access_trace.py"), str(PROGRAMS), hook],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    result = json.loads(done.stdout)
    assert result["patched"] == (folder is not None), "it did not run on the engine that was asked for"
    return {f"{run['arch']}: {run['name']}": run for run in result["runs"]}


def expected(program: dict[str, Any]) -> list[Row]:
    """The rows of Unicorn's own hooks, without those that are no accesses."""
    rows = [tuple(row) for row in traces(None, "stock")[f"{program['arch']}: {program['name']}"]["rows"]]
    extra = program.get("extra", [])
    assert all(number < len(rows) for number in extra)
    rows = [row for number, row in enumerate(rows) if number not in extra]
    if program.get("physical"):
        end = MOVED_TO + 0x1000
        rows = [(pc, at - MOVED_TO + MOVED if MOVED_TO <= at < end else at, *rest) for pc, at, *rest in rows]
    return rows[: program.get("stray")]


def differences(reported: dict[str, list[Row]]) -> list[str]:
    """Names of the programs whose rows are not those that Unicorn's own hooks report."""
    return [name for name, program in PROGRAM.items() if reported[name][: program.get("stray")] != expected(program)]


def rows_of(runs: dict[str, dict[str, Any]]) -> dict[str, list[Row]]:
    return {name: [tuple(row) for row in run["rows"]] for name, run in runs.items()}


@pytest.mark.parametrize("name", PROGRAM)
def test_every_access_is_reported_as_by_unicorns_own_hooks(name, patched):
    program = PROGRAM[name]
    reported = rows_of(traces(patched, "patch"))[name]
    assert reported[: program.get("stray")] == expected(program)
    if "stray" in program:
        assert len(reported) > program["stray"]


@pytest.mark.parametrize("name", PROGRAM)
def test_a_traced_run_ends_like_an_untraced_one(name, patched):
    traced, untraced = traces(patched, "patch")[name], traces(patched, "none")[name]
    assert {**traced, "rows": []} == untraced


@pytest.mark.parametrize("name", PROGRAM)
def test_the_patch_does_not_change_an_untraced_run(name, patched):
    assert traces(patched, "none")[name] == traces(None, "none")[name]


def test_a_late_hook_sees_code_translated_before(patched):
    assert traces(patched, "late") == traces(patched, "patch")


def test_two_hooks_see_the_same(patched):
    assert traces(patched, "two") == traces(patched, "patch")


def test_a_hook_sees_its_own_addresses_only(patched):
    everything = rows_of(traces(patched, "patch"))
    part = rows_of(traces(patched, "bounded"))
    # The bounds that access_trace.py sets.
    for name, rows in everything.items():
        assert part[name] == [row for row in rows if 0x200000 <= row[1] <= 0x200FFF], name


def test_a_removed_hook_sees_nothing(patched):
    assert traces(patched, "removed") == traces(patched, "none")


def test_unicorns_own_hooks_still_work_in_the_patched_library(patched):
    assert traces(patched, "stock") == traces(None, "stock")


def test_the_comparison_notices_missing_helpers():
    """Needs no build: rows of instructions whose accesses a C function makes are taken out of a good trace."""
    good: dict[str, list[Row]] = {}
    for name, program in PROGRAM.items():
        good[name] = expected(program)
    assert differences(good) == []
    # Fxsave is the instruction at offset 5, "mov $0x200000, %ebx" being before it; stxp at 10 times 4 and more.
    for name, pc in (("x86_64: fxsave", 0x100005), ("arm64: exclusive", 0x10002C), ("x86_64: x87", None)):
        made_by_helper = [row for row in good[name] if row[0] == pc] if pc else [r for r in good[name] if r[2] == 2]
        assert made_by_helper, name
        without = [row for row in good[name] if row not in made_by_helper]
        assert differences({**good, name: without}) == [name]


def test_the_comparison_notices_a_wrong_pc_and_a_wrong_order():
    good = {name: expected(program) for name, program in PROGRAM.items()}
    name = "x86_64: plain"
    (pc, *rest), *others = good[name]
    assert differences({**good, name: [(pc + 1, *rest), *others]}) == [name]
    assert differences({**good, name: [*others, (pc, *rest)]}) == [name]


def test_the_patch_is_what_the_sums_say(tmp_path):
    """Applying it needs the exact source: anything else is refused."""
    changed = tomllib.loads((Path(build.__file__).parent / "patch" / "files.toml").read_text())["file"]
    for name in changed:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"something else\n" * 9000)
    patch = (Path(build.__file__).parent / "patch" / "unicorn-2.1.4-memory-callback.patch").read_bytes()
    with pytest.raises(build.MissingError, match="doesn't fit"):
        build.apply_patch(patch, tmp_path)


def test_find_wants_a_whole_library(tmp_path):
    assert build.find(tmp_path) is None
    folder = tmp_path / "engine" / build.key()
    folder.mkdir(parents=True)
    library = folder / build.LIBRARY
    library.write_bytes(b"a library")
    assert build.find(tmp_path) is None
    sha256 = build._sha256(library)
    manifest = folder / "engine.json"
    manifest.write_text(json.dumps({"key": build.key(), "sha256": sha256}))
    assert build.find(tmp_path) == folder
    manifest.write_text(json.dumps({"key": "0" * 64, "sha256": sha256}))
    assert build.find(tmp_path) is None
    manifest.write_text("[")
    assert build.find(tmp_path) is None
    manifest.write_text(json.dumps({"key": build.key(), "sha256": sha256}))
    library.write_bytes(b"a librarz")
    assert build.find(tmp_path) is None
