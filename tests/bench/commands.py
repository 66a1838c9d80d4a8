"""Times whole commands: arm64 and riscv64 kernels with exact traces, and what that costs where a kernel unpacks itself.

The first run of each is not counted: it compiles modules and fills the page cache. Bytecode is used as an installed
command has it, whatever PYTHONDONTWRITEBYTECODE says. Give it a machine without other work.

    python tests/bench/commands.py [--rounds N] [NAME ...]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import arguments, note

COMMAND = str(Path(sys.executable).with_name("efi-shim"))
#: Seconds that the whole command may take with --trace exact; None: it is only told.
FIGURES = {
    "debian:bookworm/cloud-arm64": 1.5,
    "debian:trixie/cloud-arm64": 1.5,
    "debian:trixie-backports/cloud-arm64": 1.5,
    "debian:trixie/riscv64": 1.5,
    "debian:sid/riscv64": 1.5,
    "debian:bookworm/armmp": None,
}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(name: str, trace: str) -> tuple[float, float]:
    """By the clock and of the processors, for the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        command = [COMMAND, "run", name, "--trace", trace, "--quiet", "--out", f"{folder}/run"]
        began = time.monotonic()
        started = subprocess.Popen(command, env=ENVIRONMENT)
        _, status, used = os.wait4(started.pid, 0)  # unlike wait(), it tells of the processor time
        taken = time.monotonic() - began
        started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        sys.exit(f"{name}: exit status {started.returncode}")
    return taken, used.ru_utime + used.ru_stime


def main() -> None:
    """Time all, and write a line for each."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("names", nargs="*", default=FIGURES)
    options = parser.parse_args()
    for name in options.names:
        medians = {}
        for trace in ("calls", "exact"):
            seconds(name, trace)
            taken = [seconds(name, trace) for _ in range(options.rounds)]
            medians[trace] = statistics.median(each[0] for each in taken)
            processor = statistics.median(each[1] for each in taken)
            best = min(each[0] for each in taken)
            print(
                f"{name} {trace}: {medians[trace]:.2f} s, at best {best:.2f}; {processor:.2f} processor seconds",
                flush=True,
            )
        figure = FIGURES.get(name)
        for trace, median in medians.items():
            wanted = f"{figure} s" if figure and trace == "exact" else ""
            note(options, f"`run {name} --trace {trace}`", f"{median:.2f} s", wanted)
        if figure is None:
            print(f"{name}: exact takes {medians['exact'] / medians['calls']:.1f} times as long as calls")
        elif medians["exact"] > figure:
            print(f"{name}: above {figure} s")


if __name__ == "__main__":
    main()
