"""Times `efi-shim run` beside QEMU with OVMF or, for arm64, AAVMF, in turn, on one kernel.

QEMU's time runs from its start to the kernel's first line on the serial console; it holds the firmware's own boot as
well. Ours is that of the whole command, imports and the run folder included. Needs qemu-system-x86 and ovmf, or
qemu-system-arm and qemu-efi-aarch64.

With ``--trace exact`` both look at every memory access: QEMU through the plugin beside this file, ours with the
patched engine. Needs a C compiler as well.

    python tests/bench/against_qemu.py [--rounds N] [--trace calls|exact] [NAME ...]
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import arguments, note


@dataclass(frozen=True)
class Machine:
    """What QEMU calls it, where Debian keeps its firmware, and the command line that makes a kernel talk early."""

    program: str
    options: tuple[str, ...]
    firmware: tuple[Path, ...]
    cmdline: str
    packages: str


MACHINES = {
    "x86_64": Machine(
        "qemu-system-x86_64", ("-machine", "q35,accel=tcg"),
        (Path("/usr/share/OVMF/OVMF_CODE.fd"), Path("/usr/share/OVMF/OVMF_CODE_4M.fd")),
        "console=ttyS0 earlyprintk=ttyS0", "qemu-system-x86 and ovmf",
    ),
    "aarch64": Machine(
        "qemu-system-aarch64", ("-machine", "virt,accel=tcg", "-cpu", "cortex-a57"),
        (Path("/usr/share/AAVMF/AAVMF_CODE.fd"),),
        "console=ttyAMA0 earlycon=pl011,0x9000000", "qemu-system-arm and qemu-efi-aarch64",
    ),
}  # fmt: skip
#: What the median ratio is to be at most.
FIGURES = {
    ("qemu-system-x86_64", "calls"): 0.7,
    ("qemu-system-x86_64", "exact"): 0.8,
    ("qemu-system-aarch64", "calls"): 0.5,
}
FIRST_LINE = b"Linux version"
LIMIT_S = 300
PLUGIN = Path(__file__).parent / "plugin" / "accesses.c"
#: With bytecode, as an installed command has it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
KERNELS = (
    *("debian:trixie/cloud-amd64", "debian:bookworm/cloud-amd64", "debian:trixie-backports/cloud-amd64"),
    *("debian:trixie/cloud-arm64", "debian:bookworm/cloud-arm64", "debian:trixie-backports/cloud-arm64"),
)


def build_plugin(folder: Path) -> Path:
    """The plugin that records memory accesses, compiled."""
    made = folder / "accesses.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(made), str(PLUGIN)], check=True)
    return made


def qemu(machine: Machine, kernel: Path, firmware: Path, folder: Path, plugin: Path | None) -> tuple[float, int]:
    """Seconds from the start of QEMU to the kernel's first line, and the accesses that the plugin saw."""
    variables = folder / "vars.fd"
    shutil.copy(firmware.with_name(firmware.name.replace("CODE", "VARS")), variables)
    count = folder / "count"
    began = time.monotonic()
    process = subprocess.Popen(
        [
            machine.program, *machine.options, "-m", "1G", "-nographic", "-nodefaults",
            "-serial", "stdio", "-no-reboot", "-nic", "none",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={firmware}",
            "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
            "-kernel", str(kernel), "-append", machine.cmdline,
            *(["-plugin", f"{plugin},out={count}"] if plugin else []),
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    seen = b""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while FIRST_LINE not in seen:
                if not selector.select(LIMIT_S) or not (data := os.read(process.stdout.fileno(), 4096)):
                    sys.exit(f"QEMU did not come to the kernel's first line; it said:\n{seen.decode(errors='replace')}")
                seen += data
        seconds = time.monotonic() - began
    finally:
        process.terminate()  # in order: the plugin writes its count
        process.wait()
    return seconds, int(count.read_text()) if plugin else 0


def ours(name: str, cmdline: str, trace: str, folder: Path, number: int) -> tuple[float, dict[str, Any]]:
    """Seconds of the whole command, and run.json."""
    command = [str(Path(sys.executable).with_name("efi-shim")), "run", name, "--json", "--quiet", "--trace", trace]
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--cmdline", cmdline, "--out", str(folder / f"run-{number}")],
        check=True, stdout=subprocess.PIPE, env=ENVIRONMENT,
    )  # fmt: skip
    seconds = time.monotonic() - began
    report: dict[str, Any] = json.loads(done.stdout)
    return seconds, report


def main() -> None:
    """Compare, and write a line for each round and the medians."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("names", nargs="*", default=KERNELS)
    parser.add_argument("--trace", choices=("calls", "exact"), default="calls")
    options = parser.parse_args()
    from payloads import catalogue, open_payload
    from payloads.fetch import fetch
    from shim.config.places import cache_folder
    from shim.engine import engine_info

    exact = options.trace == "exact"
    if exact and not engine_info().patched:
        sys.exit("build the patched engine first: efi-shim engine build")
    for name in options.names:
        kernel = fetch(catalogue.find(name), cache=cache_folder()).path
        machine = MACHINES[open_payload(kernel).machine]
        firmware = next((each for each in machine.firmware if each.is_file()), None)
        if firmware is None or shutil.which(machine.program) is None:
            sys.exit(f"install the packages {machine.packages}")
        ratios = []
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            plugin = build_plugin(folder) if exact else None
            for number in range(options.rounds):
                theirs, seen = qemu(machine, kernel, firmware, folder, plugin)
                seconds, report = ours(name, machine.cmdline, options.trace, folder, number)
                ratios.append(seconds / theirs)
                print(
                    f"{name}: QEMU and its firmware {theirs:.2f} s, efi-shim {seconds:.2f} s "
                    f"(emulation {report['timing']['emulation_s']:.2f}), ratio {ratios[-1]:.2f}"
                )
                if exact:
                    print(f"  accesses: QEMU and its firmware {seen:,}, efi-shim {report['accesses']['count']:,}")
        median, wanted = statistics.median(ratios), FIGURES.get((machine.program, options.trace))
        print(
            f"{name}: median ratio {median:.2f} over {options.rounds} rounds{f', of at most {wanted}' * bool(wanted)}"
        )
        what = f"`run {name} --trace {options.trace}` beside QEMU with firmware, to the kernel's first line"
        note(options, what, f"{median:.2f} of it", f"{wanted} of it" * bool(wanted))


if __name__ == "__main__":
    main()
