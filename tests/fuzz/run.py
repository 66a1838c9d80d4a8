"""All fuzz targets, each for a given time, a few at once (`make fuzz`).

Inputs that reach something new are kept in the cache, so the next run goes on from there, in another clone too. What
fails is shown with its traceback and its bytes in Base64, and kept in `.fuzz/found`.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loading import HERE, ROOT, load, names

if TYPE_CHECKING:
    from pathlib import Path

FOUND = ROOT / ".fuzz" / "found"
#: How much of a failing target's output is shown, from where it failed.
_LINES = 60
_FAILURE = "==="
#: Beyond its time a target may need this long to begin, and to end.
_GRACE = 120


@dataclass(frozen=True)
class Ended:
    """How a target's turn ended."""

    name: str
    code: int
    output: str
    found: tuple[Path, ...] = ()

    @property
    def figures(self) -> str:
        """libFuzzer's own count."""
        lines = [
            each for each in self.output.splitlines() if each.startswith(("stat::number_of", "stat::peak", "Done"))
        ]
        return ", ".join(" ".join(each.removeprefix("stat::").split()) for each in lines)

    @property
    def failure(self) -> str:
        """The traceback, what libFuzzer says of it, and the inputs that were found."""
        lines = self.output.splitlines()
        begins = next((at for at, each in enumerate(lines) if _FAILURE in each), max(0, len(lines) - _LINES))
        shown = [each for each in lines[begins:] if not each.startswith(("0x", "Base64"))][:_LINES]
        return "\n".join([*shown, *map(_shown, self.found)])


def fuzz(name: str, seconds: int, seed: int, kept: Path) -> Ended:
    """Fuzz one target in a process of its own; *kept* has a folder of inputs for each."""
    corpus, folder = kept / name, FOUND / name
    for each in (corpus, folder):
        each.mkdir(parents=True, exist_ok=True)
    before = set(folder.iterdir())
    _plant(name, corpus)
    command = [
        sys.executable,
        str(HERE / "one.py"),
        name,
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        str(corpus),
    ]
    # libFuzzer ends a process without its cleaning up.
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": scratch},
                timeout=seconds + _GRACE,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            return Ended(name, 1, (late.output or b"").decode(errors="replace") + "\nit did not end in time")
    found = tuple(sorted(set(folder.iterdir()) - before))
    return Ended(name, done.returncode, done.stdout.decode(errors="replace"), found)


def _shown(path: Path) -> str:
    """An input as text that makes it again."""
    return f"{path.relative_to(ROOT)}:\n{base64.b64encode(path.read_bytes()).decode()}"


def _plant(name: str, corpus: Path) -> None:
    for seed, data in load(name).seeds().items():
        (corpus / f"seed-{seed}").write_bytes(data)


def main() -> int:
    """Fuzz what the command line names; 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(names())}; all without")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    parser.add_argument("--seed", type=int, default=1, help="of the search")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from shim.config.places import cache_folder

    kept = cache_folder() / "fuzz"
    targets = given.targets or names()
    unknown = set(targets) - set(names())
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}")
    if importlib.util.find_spec("atheris") is None:
        parser.exit(1, "atheris is not installed: it has wheels for x86-64 and CPython 3.11 to 3.13\n")
    print(f"{len(targets)} targets, {given.jobs} at once, {given.seconds} s each", flush=True)
    failed = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        for ended in pool.map(lambda name: fuzz(name, given.seconds, given.seed, kept), targets):
            failed += ended.code != 0
            print(f"{ended.name}: {'FAILED' if ended.code else 'ok'}: {ended.figures}", flush=True)
            if ended.code:
                print(ended.failure, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
