"""Builds the patched Unicorn from its released source, and finds it again.

The result is a folder in the user's cache, named by what it was made from: the patch, the hashes of the source, the
architectures and the flags. A folder is used only if it is whole. Nothing in here imports unicorn, so that `use` can
still choose which library the binding loads.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shim.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Progress = Callable[[str], None]

_HERE = Path(__file__).parent
_REQUIREMENTS = _HERE / "requirements-engine.txt"
_PATCH = _HERE / "patch" / "unicorn-2.1.4-memory-callback.patch"
_FILES = _HERE / "patch" / "files.toml"

ARCHITECTURES = ("x86", "aarch64", "arm", "riscv")
FLAGS = (
    f"-DUNICORN_ARCH={';'.join(ARCHITECTURES)}",
    "-DBUILD_SHARED_LIBS=ON",
    "-DUNICORN_BUILD_TESTS=OFF",
    "-DUNICORN_INSTALL=OFF",
    "-DCMAKE_BUILD_TYPE=Release",
)
#: The name under which the binding looks for the library first.
LIBRARY = "libunicorn.so.2"
_MANIFEST = "engine.json"
_PERCENT = re.compile(r"^\[ *(\d+)%\]")
_STEP = re.compile(r"^\[(\d+)/(\d+)\]")
_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")


def key() -> str:
    """What the engine is made from, in one word."""
    digest = hashlib.sha256()
    for part in (
        _PATCH.read_bytes(),
        _FILES.read_bytes(),
        " ".join(ARCHITECTURES).encode(),
        " ".join(FLAGS).encode(),
        platform.machine().encode(),
    ):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def find(cache: Path) -> Path | None:
    """The folder of the built library, or None if it was not built, is damaged, or is something else."""
    name = key()
    folder = cache / "engine" / name
    try:
        manifest = json.loads((folder / _MANIFEST).read_bytes())
        whole = manifest == {"key": name, "sha256": _sha256(folder / LIBRARY)}
    except (OSError, ValueError):
        return None
    return folder if whole else None


def use(folder: Path) -> None:
    """Let the binding load the library in *folder*. To be called before the first ``import unicorn``.

    The binding falls back to its own library without a word if it can't load this one, so whoever calls this looks
    for the symbol ``uc_efi_shim_patch`` afterwards.
    """
    if "unicorn" in sys.modules:
        raise RuntimeError("unicorn has been imported already: one process has one engine")
    os.environ["LIBUNICORN_PATH"] = str(folder)


def build(cache: Path, progress: Progress) -> Path:
    """Build the library, unless it is there already, and return its folder.

    *progress* gets lines for a person to read. Of several builds at once one works and the others wait for it.

    Raises:
        MissingError: something that is needed isn't there.
    """
    found = find(cache)
    if found is not None:
        return found
    root = cache / "engine"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / "lock", progress):
            found = find(cache)
            if found is not None:
                return found
            # Whoever holds the lock is the only one at work: these were left by builds that were killed.
            for left in root.glob("build-*"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="build-", dir=root, ignore_cleanup_errors=True) as work:
                return _build(Path(work), root / key(), progress)
    except OSError as why:
        raise MissingError(f"the engine can't be built in {root}: {why.strerror or why}") from why


def _build(work: Path, target: Path, progress: Progress) -> Path:
    cmake, make = _tool("cmake"), _tool("make", "gmake", "ninja")
    if not any(map(_which, filter(None, (os.environ.get("CC"), "cc", "gcc", "clang")))):
        raise MissingError("the engine can't be built: there is no C compiler")
    sums = tomllib.loads(_FILES.read_text(encoding="utf-8"))
    progress("fetching Unicorn's source")
    sdist = _fetch(work, sums["sdist"])
    source = _unpack(sdist, work)
    _check(source, sums["file"], "before")
    apply_patch(_PATCH.read_bytes(), source)
    _check(source, sums["file"], "after")
    progress("building Unicorn")
    made = work / "made"
    generator = "Ninja" if Path(make).name == "ninja" else "Unix Makefiles"
    configure = [cmake, "-G", generator, f"-DCMAKE_MAKE_PROGRAM={make}", "-S", str(source / "src"), "-B", str(made)]
    _run([*configure, *FLAGS], work, lambda _line: None)
    jobs = str(len(os.sched_getaffinity(0)))
    _run([cmake, "--build", str(made), "--target", "unicorn", "--parallel", jobs], work, _percentages(progress))
    done = work / "done"
    done.mkdir()
    shutil.copyfile((made / LIBRARY).resolve(), done / LIBRARY)
    manifest = {"key": target.name, "sha256": _sha256(done / LIBRARY)}
    (done / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    if target.exists():  # damaged, or find() had found it
        target.rename(work / "damaged")
    done.rename(target)
    progress("the engine is built")
    return target


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock *path*; the system lets go of it when the process ends, however it ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build of the engine")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _which(name: str) -> str | None:
    """A program on PATH, or beside this Python, where packages of the index put theirs."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def _tool(*names: str) -> str:
    for name in names:
        found = _which(name)
        if found is not None:
            return found
    raise MissingError(f"the engine can't be built: there is no {' or '.join(names)}")


def _run(command: Sequence[str], work: Path, line: Callable[[str], None]) -> None:
    """Run a program and pass on its lines; its whole process group ends with us."""
    last = ""
    with subprocess.Popen(
        command,
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            for each in process.stdout or ():
                text = each.strip()
                if not last or re.search(r"\berror\b|^ERROR", text, re.IGNORECASE):
                    last = text
                line(text)
            code = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if code != 0:
        name = "pip" if "pip" in command else Path(command[0]).name
        raise MissingError(f"the engine can't be built: {name} failed ({code}): {last}")


def _percentages(progress: Progress) -> Callable[[str], None]:
    """Turns the lines of make or ninja into one line for each percent."""
    shown = -1

    def line(text: str) -> None:
        nonlocal shown
        if percent := _PERCENT.match(text):
            now = int(percent[1])
        elif step := _STEP.match(text):
            now = 100 * int(step[1]) // int(step[2])
        else:
            return
        if now > shown:
            shown = now
            progress(f"building Unicorn: {now} %")

    return line


def _fetch(work: Path, expected: dict[str, str]) -> Path:
    """Unicorn's source from the package index that pip is configured with."""
    sources = work / "sdist"
    # Only Unicorn as source: what pip needs to look at it may come ready-made.
    download = ("-m", "pip", "download", "--require-hashes", "--no-binary", "unicorn", "--no-deps")
    _run([sys.executable, *download, "-d", str(sources), "-r", str(_REQUIREMENTS)], work, lambda _line: None)
    sdist = sources / expected["name"]
    if not sdist.is_file() or _sha256(sdist) != expected["sha256"]:
        raise MissingError(f"the engine can't be built: pip did not bring the right {expected['name']}")
    return sdist


def _unpack(sdist: Path, work: Path) -> Path:
    with tarfile.open(sdist) as archive:
        # Python before 3.11.4 has no filters; there the hash that has been checked must do.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(work)  # noqa: S202
    return work / sdist.name.removesuffix(".tar.gz")


def _check(source: Path, files: dict[str, Any], when: str) -> None:
    for name, sums in files.items():
        if _sha256(source / name) != sums[when]:
            raise MissingError(f"the engine can't be built: {name} is not what it should be {when} the patch")


def apply_patch(patch: bytes, source: Path) -> None:
    """Apply a unified diff without context lines, whose line numbers therefore have to be right."""
    for part in re.split(rb"^(?=--- )", patch, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        path = source / lines[1].split()[1].decode().partition("/")[2]
        old = path.read_bytes().splitlines(keepends=True)
        new: list[bytes] = []
        position = 0
        for number, line in enumerate(lines):
            hunk = _HUNK.match(line)
            if hunk is None:
                continue
            start, removed, added = int(hunk[1]), int(hunk[2] or 1), int(hunk[3] or 1)
            # A hunk that removes nothing names the line before it.
            start -= 1 if removed else 0
            body = lines[number + 1 : number + 1 + removed + added]
            if old[start : start + removed] != [each[1:] for each in body[:removed]]:
                raise MissingError(f"the engine can't be built: the patch doesn't fit {path.name}")
            new += old[position:start] + [each[1:] for each in body[removed:]]
            position = start + removed
        path.write_bytes(b"".join(new + old[position:]))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
