"""Building the patched engine: everything about it but the minutes of compiling."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from shim.engine import build
from shim.errors import MissingError

PATCH = b"""--- a/dir/file.c
+++ b/dir/file.c
@@ -1,0 +2,2 @@
+two
+three
@@ -3 +5,0 @@
-old
@@ -5 +6 @@
-five
+FIVE
"""
BEFORE = b"one\nfour\nold\nsix\nfive\nend\n"
AFTER = b"one\ntwo\nthree\nfour\nsix\nFIVE\nend\n"


def put(cache, library=b"library", manifest=None):
    folder = cache / "engine" / build.key()
    folder.mkdir(parents=True)
    (folder / build.LIBRARY).write_bytes(library)
    manifest = manifest or {"key": build.key(), "sha256": hashlib.sha256(b"library").hexdigest()}
    (folder / "engine.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return folder


def test_a_patch_without_context_is_applied_by_its_line_numbers(tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file.c").write_bytes(BEFORE)
    build.apply_patch(PATCH, tmp_path)
    assert (tmp_path / "dir" / "file.c").read_bytes() == AFTER


def test_a_patch_that_does_not_fit_is_refused(tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file.c").write_bytes(BEFORE.replace(b"five", b"seven"))
    with pytest.raises(MissingError, match=r"file\.c"):
        build.apply_patch(PATCH, tmp_path)


def test_a_whole_engine_is_found(tmp_path):
    assert build.find(tmp_path) is None
    assert build.find(tmp_path / "nowhere") is None
    folder = put(tmp_path)
    assert build.find(tmp_path) == folder


@pytest.mark.parametrize(
    ("library", "manifest"),
    [
        (b"damaged", None),
        (b"library", "no JSON"),
        (b"library", {"key": "another", "sha256": hashlib.sha256(b"library").hexdigest()}),
        (b"library", "[]"),
    ],
)
def test_a_damaged_or_foreign_engine_is_not_found(library, manifest, tmp_path):
    put(tmp_path, library, manifest)
    assert build.find(tmp_path) is None


def test_what_is_there_is_not_built_again(tmp_path):
    folder = put(tmp_path)
    assert build.build(tmp_path, pytest.fail) == folder


@pytest.mark.parametrize("missing", ["cmake", "make"])
def test_a_missing_tool_is_named(missing, tmp_path, monkeypatch):
    which = build._which
    monkeypatch.setattr(build, "_which", lambda name: None if name in (missing, "gmake", "ninja") else which(name))
    with pytest.raises(MissingError, match=f"there is no {missing}"):
        build.build(tmp_path, lambda _line: None)
    assert not list((tmp_path / "engine").glob("build-*")), "nothing is left of the attempt"


def test_a_missing_index_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_REQUIREMENTS", tmp_path / "missing.txt")
    with pytest.raises(MissingError, match="pip failed") as failed:
        build.build(tmp_path / "cache", lambda _line: None)
    assert "\n" not in str(failed.value)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "engine").write_text("a file where the folder should be")
    with pytest.raises(MissingError, match="can't be built in"):
        build.build(tmp_path, lambda _line: None)


def test_the_second_of_two_builds_waits_for_the_first(tmp_path):
    """It finds what the other made, and builds nothing itself."""
    code = (
        "import sys, pathlib\n"
        "from shim.engine import build\n"
        "print(build.build(pathlib.Path(sys.argv[1]), lambda line: print(line, flush=True)))\n"
    )
    (tmp_path / "engine").mkdir()
    with build._locked(tmp_path / "engine" / "lock", lambda _line: None):
        other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "waiting for another build of the engine\n"
        folder = put(tmp_path)
    assert other.communicate(timeout=60)[0] == f"{folder}\n"


def test_the_patch_is_of_the_source_that_is_fetched():
    """One pin: the requirement, the hashes and the dependency name the same release."""
    requirement = build._REQUIREMENTS.read_text()
    sums = build.tomllib.loads(build._FILES.read_text())
    assert "unicorn==2.1.4" in requirement
    assert f"sha256:{sums['sdist']['sha256']}" in requirement
    patched = {
        line.split()[1].partition("/")[2] for line in build._PATCH.read_text().splitlines() if line.startswith("+++ ")
    }
    assert patched == set(sums["file"])
    assert not [line for line in build._PATCH.read_text().splitlines() if line.startswith(" ")], "no lines but ours"
