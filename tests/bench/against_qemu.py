"""Times `efi-shim run` beside QEMU with OVMF, in turn, on one kernel.

QEMU's time runs from its start to the kernel's first line on the serial console; it holds OVMF's own boot as
well. Ours is that of the whole command, imports and the run folder included. Needs qemu-system-x86 and ovmf.

    python tests/bench/against_qemu.py [--rounds N] [NAME ...]
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OVMF = (Path("/usr/share/OVMF/OVMF_CODE.fd"), Path("/usr/share/OVMF/OVMF_CODE_4M.fd"))
FIRST_LINE = b"Linux version"
LIMIT_S = 300
KERNELS = ("debian:trixie/cloud-amd64", "debian:bookworm/cloud-amd64", "debian:trixie-backports/cloud-amd64")


def qemu(kernel: Path, firmware: Path, folder: Path) -> float:
    """Seconds from the start of QEMU to the kernel's first line."""
    variables = folder / "vars.fd"
    shutil.copy(firmware.with_name(firmware.name.replace("CODE", "VARS")), variables)
    began = time.monotonic()
    process = subprocess.Popen(
        [
            "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-m", "1G", "-nographic", "-nodefaults",
            "-serial", "stdio", "-no-reboot", "-nic", "none",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={firmware}",
            "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
            "-kernel", str(kernel), "-append", "console=ttyS0 earlyprintk=ttyS0",
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
        return time.monotonic() - began
    finally:
        process.kill()
        process.wait()


def ours(name: str, folder: Path, number: int) -> tuple[float, dict[str, float]]:
    """Seconds of the whole command, and run.json's own timing."""
    command = [str(Path(sys.executable).with_name("efi-shim")), "run", name, "--json", "--quiet", "--trace", "calls"]
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--cmdline", "console=ttyS0 earlyprintk=ttyS0", "--out", str(folder / f"run-{number}")],
        check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    seconds = time.monotonic() - began
    timing: dict[str, float] = json.loads(done.stdout)["timing"]
    return seconds, timing


def main() -> None:
    """Compare, and write a line for each round and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=KERNELS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    firmware = next((each for each in OVMF if each.is_file()), None)
    if firmware is None or shutil.which("qemu-system-x86_64") is None:
        sys.exit("install the packages qemu-system-x86 and ovmf")
    from payloads import catalogue
    from payloads.fetch import fetch
    from shim.config.places import cache_folder

    for name in options.names:
        kernel = fetch(catalogue.find(name), cache=cache_folder()).path
        ratios = []
        with tempfile.TemporaryDirectory() as temporary:
            for number in range(options.rounds):
                theirs = qemu(kernel, firmware, Path(temporary))
                seconds, timing = ours(name, Path(temporary), number)
                ratios.append(seconds / theirs)
                print(
                    f"{name}: QEMU+OVMF {theirs:.2f} s, efi-shim {seconds:.2f} s "
                    f"(emulation {timing['emulation_s']:.2f}), ratio {ratios[-1]:.2f}"
                )
        print(f"{name}: median ratio {statistics.median(ratios):.2f} over {options.rounds} rounds")


if __name__ == "__main__":
    main()
