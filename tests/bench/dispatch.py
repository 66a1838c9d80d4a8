"""Times services that do next to nothing: RaiseTPL and RestoreTPL, called by a guest in a loop.

What is told is the processor time of a whole run less that of a run of a few calls: the guest's side, decoding, the
service, its row in calls.parquet. Processor time, since the clock's is worth nothing where others are at work.

    python tests/bench/dispatch.py [--calls N] [--rounds N]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import arguments, note

COMMAND = str(Path(sys.executable).with_name("efi-shim"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
#: Calls per second of one core with --trace calls; what an exact trace adds is told.
FIGURE = 30_000
#: The program takes five blocks for two calls.
BLOCKS, CALLS = 5, 2


def run(calls: int, trace: str) -> tuple[float, int]:
    """Processor seconds of a whole run, and how many calls there were."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "run"
        words = ["--trace", trace, "--max-blocks", str(calls * BLOCKS // CALLS), "--quiet", "--out", str(out)]
        started = subprocess.Popen([COMMAND, "run", "program:call_loop", *words], env=ENVIRONMENT)
        _, _, used = os.wait4(started.pid, 0)  # unlike wait(), it tells of the processor time
        started.returncode = 0
        report = json.loads((out / "run.json").read_bytes())
    return used.ru_utime + used.ru_stime, report["calls"]["count"]


def main() -> None:
    """Time both levels, and write a line for each."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--calls", type=int, default=200_000)
    options = parser.parse_args()
    for trace in ("calls", "exact"):
        rates = []
        for _ in range(options.rounds):
            (base, few), (whole, many) = run(100, trace), run(options.calls, trace)
            rates.append((many - few) / (whole - base))
        median = statistics.median(rates)
        each = ", ".join(f"{rate:,.0f}" for rate in rates)
        figure = f"; at least {FIGURE:,}" if trace == "calls" else ""
        print(
            f"{trace}: {100_000 / median:.2f} processor seconds for 100,000 calls; calls/s: {each}{figure}", flush=True
        )
        wanted = f"{FIGURE:,} in a second" if trace == "calls" else ""
        note(options, f"calls of a trivial service, `--trace {trace}`, one core", f"{median:,.0f} in a second", wanted)


if __name__ == "__main__":
    main()
