"""Times what is done with measurements: all formats of a run, a long log, the digest of a large image.

Wall-clock seconds and those of the CPU, each the median of the rounds. Beside each stands what it is to keep to on an
idle machine.

    python tests/bench/measurement.py [--rounds N] [--run RUN]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pefile
from figures import arguments, note

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.log import decode, encode
from efi_services.tcg.registers import replay
from payloads.pe import authenticode
from shim.measure.formats import FORMATS, write_all
from shim.measure.profiles import PROFILES
from shim.trace.folder import open_run

if TYPE_CHECKING:
    from collections.abc import Callable

KERNEL = "debian:trixie/cloud-amd64"
COMMAND = [sys.executable, "-c", "from shim.cli import main; main()"]
EVENTS = 10_000
IMAGE_BYTES = 50 << 20
PROGRAMS = Path(__file__).parent.parent.parent / "payloads" / "programs" / "built"


def efi_shim(*words: object) -> None:
    """Run the command; forms that the run can't be written in end with 2."""
    done = subprocess.run([*COMMAND, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode not in (0, 2):
        sys.exit(done.stderr.decode())


def large_image() -> bytes:
    """A program of ours whose last section is larger than any kernel."""
    data = (PROGRAMS / "hello-x86_64.efi").read_bytes()
    pe = pefile.PE(data=data)
    last = max(pe.sections, key=lambda each: each.PointerToRawData)
    more = bytes(range(256)) * ((IMAGE_BYTES - len(data)) // 256)
    last.SizeOfRawData += len(more)
    last.Misc_VirtualSize = last.SizeOfRawData
    pe.OPTIONAL_HEADER.SizeOfImage = last.VirtualAddress + last.SizeOfRawData
    return bytes(pe.write()) + more


def long_log() -> None:
    """Write a log, read it, and replay it."""
    banks = tuple(Algorithm)
    made = [
        Event(number % 16, EventType.EV_IPL, digests(banks, number.to_bytes(4)), b"event %d" % number)
        for number in range(EVENTS)
    ]
    log = decode(encode(made, banks))
    registers = replay(log.events, log.algorithms)
    assert registers == replay(made, banks)


def times(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The medians of wall-clock and CPU seconds, children's included."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.monotonic(), sum(os.times()[:4])
        work()
        walls.append(time.monotonic() - wall)
        cpus.append(sum(os.times()[:4]) - cpu)
    return statistics.median(walls), statistics.median(cpus)


def main() -> None:
    """Time everything, and write a line for each."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--run", type=Path, help="a run folder; a kernel is run without")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = options.run or folder / "run"
        if options.run is None:
            words = ["run", KERNEL, "--platform", "q35-tpm", "--cmdline", "quiet", "--quiet"]
            efi_shim(*words, "--trace", "calls", "--out", run)
        image = large_image()

        def one_process() -> None:
            write_all(PROFILES["firmware"].measure(open_run(run), {}))

        def commands() -> None:
            for name in FORMATS:
                efi_shim("measure", run, "--format", name, "-o", folder / name)

        works: list[tuple[str, Callable[[], object], float | None]] = [
            (f"all {len(FORMATS)} formats, one command (--format all)",
             lambda: efi_shim("measure", run, "--format", "all", "-o", folder / "all"), 2.0),
            ("all formats, within a process that runs", one_process, 2.0),
            (f"all formats, {len(FORMATS)} commands one after the other", commands, None),
            (f"a log of {EVENTS:,} events in four banks: written, read, replayed", long_log, 1.0),
            *((f"Authenticode of {IMAGE_BYTES >> 20} MiB, {each}", lambda each=each: authenticode(image, each), 0.5)
              for each in ("sha1", "sha256", "sha384")),
        ]  # fmt: skip
        for name, work, most in works:
            wall, cpu = times(work, options.rounds)
            note(options, name, f"{wall:.2f} s", f"{most:g} s" if most else "")
            print(f"{name:64} {wall:6.3f} s, CPU {cpu:6.3f} s{f', at most {most:g} s' if most else ''}")


if __name__ == "__main__":
    main()
