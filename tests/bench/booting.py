"""Times `efi-shim boot` beside QEMU with firmware and stub, in turn, up to a kernel's first line; and images of RAM.

Both times run from the start of the command to the kernel's first line on the serial console. The image is that of the
run which is gone on with: how long writing takes, and how large it is beside what zstd makes of the same bytes in one
piece. Needs what against_qemu.py does.

    python tests/bench/booting.py [--rounds N] [NAME ...]
"""

from __future__ import annotations

import os
import selectors
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from against_qemu import ENVIRONMENT, FIRST_LINE, LIMIT_S, MACHINES, qemu
from figures import arguments, note

KERNELS = ("debian:trixie/cloud-amd64", "debian:trixie/cloud-arm64")
#: What the median ratio is to be at most.
FIGURE = 0.7
TOOL = str(Path(sys.executable).with_name("efi-shim"))


def boot(run: Path) -> float:
    """Seconds from the start of the command to the kernel's first line."""
    began, seen = time.monotonic(), b""
    process = subprocess.Popen(
        [TOOL, "boot", str(run), "--quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    assert process.stdout is not None
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while FIRST_LINE not in seen:
                if not selector.select(LIMIT_S) or not (data := os.read(process.stdout.fileno(), 4096)):
                    sys.exit(f"it did not come to the kernel's first line:\n{seen.decode(errors='replace')}")
                seen += data
        return time.monotonic() - began
    finally:
        process.terminate()
        process.wait()


def image(run: Path, folder: Path) -> str:
    """What there is to say of the run's image of RAM."""
    import pyarrow as pa

    from shim.handoff import ram_image
    from shim.machine.ram import Ram

    kept = ram_image.of_run(run)
    ram = Ram(kept.ranges)
    for address, page in kept.pages():
        ram.write(address, bytes(page))
    began = time.monotonic()
    ram_image.write(folder / "image", ram.used_pages())
    seconds = time.monotonic() - began
    data = b"".join(page for _, page in kept.pages())
    sizes = {level: len(pa.Codec("zstd", compression_level=level).compress(data, asbytes=True)) for level in (1, 3)}
    size = (folder / "image").stat().st_size
    return (
        f"image of {len(data) >> 20} MiB in use of {ram.size >> 20} MiB written in {seconds:.2f} s, {size >> 20} MiB: "
        + ", ".join(f"{size / each:.3f} of zstd -{level}" for level, each in sizes.items())
    )


def main() -> None:
    """Compare, and write a line for each round and the medians."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("names", nargs="*", default=KERNELS)
    options = parser.parse_args()
    from payloads import catalogue, open_payload
    from payloads.fetch import fetch
    from shim.config.places import cache_folder

    for name in options.names:
        kernel = fetch(catalogue.find(name), cache=cache_folder()).path
        architecture = open_payload(kernel).machine
        machine = MACHINES[architecture]
        firmware = next((each for each in machine.firmware if each.is_file()), None)
        if firmware is None or shutil.which(machine.program) is None:
            sys.exit(f"install the packages {machine.packages}")
        ratios = []
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            run = folder / "run"
            words = ["--trace", "calls", "--dump-ram", "--quiet", "--out", str(run), "--cmdline", machine.cmdline]
            subprocess.run([TOOL, "run", name, *words], check=True, env=ENVIRONMENT)
            print(f"{name}: {image(run, folder)}")
            for _ in range(options.rounds):
                theirs, _ = qemu(machine, kernel, firmware, folder, None)
                ours = boot(run)
                ratios.append(ours / theirs)
                print(f"{name}: QEMU, firmware and stub {theirs:.2f} s, efi-shim boot {ours:.2f} s, {ratios[-1]:.2f}")
        median = statistics.median(ratios)
        print(f"{name}: median ratio {median:.2f} over {options.rounds} rounds, of at most {FIGURE}")
        what = f"`boot` of {name} beside QEMU with firmware, to the kernel's first line"
        note(options, what, f"{median:.2f} of it", f"{FIGURE} of it")


if __name__ == "__main__":
    main()
