"""Times a guest that lists a folder of many files, an entry with each call.

    python tests/bench/directory.py [--files N] [--rounds N]

The seconds are those of the guest's whole run, in services and in emulation, as run.json has them, and of the processor
for the whole command. The folder is read when the machine is switched on, before the guest begins.
"""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import arguments, note

from payloads.catalogue import program

MAIN = "from shim.cli import main; main()"


def run(folder: Path, out: Path) -> tuple[float, float, int, str]:
    """Seconds of the guest's, of the processor for the whole, calls, and what it said."""
    command = [sys.executable, "-c", MAIN, "run", "disk:/list.efi", "--disk", str(folder), "--trace", "calls"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command, "--json", "--out", str(out)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report = json.loads(done.stdout)
    timing = report["timing"]
    guest = timing["emulation_s"] + timing["services_s"]
    return guest, used, report["calls"]["count"], report["console"].strip()


def main() -> None:
    """Make the folder, list it, tell the median."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--files", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "esp"
        folder.mkdir()
        shutil.copy(program("program:list_files-x86_64"), folder / "list.efi")
        for number in range(options.files - 1):
            (folder / f"a file with a long name {number:06}.txt").write_bytes(b"x")
        made = [run(folder, Path(temporary) / f"run{number}") for number in range(options.rounds)]
    guest, whole = (statistics.median(column) for column in list(zip(*made, strict=True))[:2])
    print(f"{made[0][3]}; {made[0][2]} calls")
    print(
        f"guest {guest:.2f} s, {made[0][2] / guest:.0f} calls/s; whole run {whole:.2f} s (median of {options.rounds})"
    )
    note(options, f"a guest lists a folder of {options.files:,} files", f"{guest:.2f} s", "2 s")


if __name__ == "__main__":
    main()
