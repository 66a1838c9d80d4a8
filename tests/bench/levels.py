"""Times one kernel at each level of tracing, in turn, so that the ratios are of one sitting.

Emulation seconds as run.json has them, and the whole command's. `no digest` is exact with the thread that hashes
rows doing nothing: what is left is the cost of seeing and folding. `released` is exact with Unicorn as it is released.

    python tests/bench/levels.py [--rounds N] [--with released] [NAME ...]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import arguments, note

KERNELS = ("debian:trixie/cloud-amd64", "debian:bookworm/cloud-amd64", "debian:trixie-backports/cloud-amd64")
#: What exact emulation is to take at most, beside that at calls.
FIGURE = 2.2
MAIN = "from shim.cli import main; main()"
NO_DIGEST = f"from shim.trace.native import NativeRecorder; NativeRecorder._hash = lambda *_: None; {MAIN}"
#: The program, the words of the command line, and the engine.
LEVELS = {
    "calls": (MAIN, ["--trace", "calls"], "patched"),
    "no digest": (NO_DIGEST, ["--trace", "exact"], "patched"),
    "exact": (MAIN, ["--trace", "exact"], "patched"),
    "rows kept": (MAIN, ["--trace", "exact", "--keep-accesses"], "patched"),
    "released": (MAIN, ["--trace", "exact", "--max-seconds", "3600"], "released"),
}


def run(name: str, level: str) -> tuple[float, float, int, int]:
    """Seconds of emulation, of the whole command, accesses, and bytes of rows."""
    program, words, engine = LEVELS[level]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        command = [sys.executable, "-c", program, "run", name, "--quiet", "--json", "--out", str(folder), *words]
        began = time.monotonic()
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, env={**os.environ, "EFI_SHIM_ENGINE": engine}
        )
        seconds = time.monotonic() - began
        report = json.loads(done.stdout)
        if report["engine"]["patched"] != (engine == "patched"):
            sys.exit("build the engine first: efi-shim engine build")
        kept = sum(path.stat().st_size for path in folder.glob("accesses/*"))
    return report["timing"]["emulation_s"], seconds, report["accesses"]["count"] or 0, kept


def main() -> None:
    """Run all levels in turn, and write a line for each and the medians' ratios."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("names", nargs="*", default=KERNELS)
    parser.add_argument("--with", dest="more", choices=["released"], help="the released engine too: minutes each")
    options = parser.parse_args()
    levels = [each for each in LEVELS if each != "released" or options.more]
    for name in options.names:
        taken: dict[str, list[tuple[float, float, int, int]]] = {each: [] for each in levels}
        for _ in range(options.rounds):
            for level in levels:
                taken[level].append(run(name, level))
        base = statistics.median(each[0] for each in taken["calls"])
        beside = statistics.median(each[0] for each in taken["exact"]) / base
        note(options, f"emulation of {name} at exact, beside calls", f"{beside:.2f} of it", f"{FIGURE} of it")
        whole = statistics.median(each[1] for each in taken["exact"])
        print(f"{name}, median of {options.rounds}:")
        for level, times in taken.items():
            emulation, command = (statistics.median(each[i] for each in times) for i in (0, 1))
            _, _, count, kept = times[0]
            more = f", {command - whole:+.1f} s beside exact, {kept / count:.2f} bytes per access" if kept else ""
            print(
                f"  {level:10} emulation {emulation:6.2f} s ({emulation / base:.2f}), command {command:6.2f} s, "
                f"{count:,} accesses{more}"
            )


if __name__ == "__main__":
    main()
