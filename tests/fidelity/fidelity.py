"""Compares a boot on our firmware with the same boot on EDK2's, in QEMU with swtpm: docs/fidelity-ARCHITECTURE.md.

Exit status 1 where something differs without a known reason, 12 where a tool is missing. Needs qemu-system-x86, ovmf,
qemu-system-arm, qemu-efi-aarch64, swtpm and tpm2-tools; a boot takes half a minute, and no longer than five.

    python tests/fidelity/fidelity.py [--keep DIR] [-o FOLDER] [amd64|arm64 ...]
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import eventlog
import initramfs
import judge
import observed
import ours
import packages
import qemu
from efi_services.tcg.log import LogError
from payloads import catalogue
from payloads.errors import PayloadError
from payloads.fetch import fetch
from report import Comparison, Section, page
from shim.config.places import cache_folder
from shim.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

#: What is compared, by architecture: a kernel, and whether a boot entry starts it. Then the initrd is a file that the
#: command line names, which kernels before 7 don't measure.
CASES = {
    architecture: (
        (f"debian:trixie/cloud-{architecture}", False),
        (f"debian:trixie-backports/cloud-{architecture}", False),
        (f"debian:trixie-backports/cloud-{architecture}", True),
        (f"debian:bookworm/cloud-{architecture}", False),
    )
    for architecture in qemu.BOARDS
}
DOCS = Path(__file__).parents[2] / "docs"
_MISSING, _ATTEMPTS = 12, 3


def compare(name: str, folder: Path, *, by_entry: bool) -> Comparison:
    """Boot a kernel on both; *folder* is where everything of it goes."""
    entry, cache = catalogue.find(name), cache_folder()
    board = qemu.BOARDS[entry.architecture]
    fetched = fetch(entry, cache=cache, progress=print)
    busybox, modules = packages.busybox(entry.architecture, cache), packages.tpm_modules(entry, fetched, cache)
    initrd, kernel = folder / "initrd", folder / "kernel"
    initrd.write_bytes(initramfs.build(busybox, modules))
    asked = f"console={board.console} panic=-1 efi=debug retain_initrd"
    boot = qemu.boot_by_entry if by_entry else qemu.boot_directly
    cmdline = f"{asked} initrd=\\initrd" if by_entry else asked
    real = observed.of_guest(_tried(lambda at: boot(board, fetched.path, initrd, cmdline, at), folder))
    file, changed = ours.as_loaded(fetched.path.read_bytes(), real.log, initrd.stat().st_size)
    kernel.write_bytes(file)
    ready = ours.platform(board.platform, direct=not by_entry)
    run = ours.run(kernel, initrd, real.cmdline, ready, folder, "--dump-ram")
    here, measured = ours.of_run(run), ours.measured(run)
    told = ours.run(kernel, initrd, real.cmdline, ours.knowing(ready, real.log), folder)
    loaded = "with the header's fields that QEMU fills in, which gives the digest in the log" if changed else "as it is"
    return Comparison(
        title=f"{name}, {'by a boot entry' if by_entry else 'by -kernel'}",
        facts=(
            ("Kernel", f"{fetched.package} {fetched.version}, {loaded}"),
            ("There", f"{real.firmware}: {_firmware(board)}; {_version(board.qemu)}; {_version('swtpm')}"),
            ("Here", here.firmware),
        ),
        sections=(
            Section("Event log", (*judge.events(measured, real), judge.order(measured, real))),
            Section("Registers", tuple(judge.registers(measured, here.registers, real))),
            Section(
                "Registers, the machine's own part known",
                (
                    *judge.all_equal(ours.measured(told), ours.registers(told), real),
                    judge.by_a_tool(eventlog.TOOL, eventlog.replay(told / "eventlog.bin"), real),
                ),
            ),
            Section("What the kernel was handed", tuple(judge.handed(here, real))),
            Section("Tables", (*judge.tables(here, real), *judge.acpi_tpm2(here, real))),
            Section("Memory map", tuple(judge.memory(here, real))),
        ),
    )


def _tried(boot: Callable[[Path], dict[str, bytes]], folder: Path) -> dict[str, bytes]:
    """What a guest collected, at the third attempt at the latest.

    A fault of QEMU's emulation can end a guest before it has told anything. That says nothing about the boot, and the
    next one is new from the start.
    """
    for attempt in range(_ATTEMPTS):
        at = folder / f"boot-{attempt}"
        at.mkdir()
        try:
            return boot(at)
        except qemu.Failed as why:
            if attempt == _ATTEMPTS - 1:
                raise
            print(f"  once more: {why}", flush=True)
    raise AssertionError("the last attempt returns or raises")


def _firmware(board: qemu.Board) -> str:
    """Which file, and of which package where dpkg knows."""
    code = Path(board.firmware[0])
    digest = hashlib.sha256(code.read_bytes()).hexdigest()
    try:
        asked = ["dpkg-query", "-S", str(code)]
        package = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.partition(":")[0]
        asked = ["dpkg-query", "-W", "-f", "${Package} ${Version}", package]
        package = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        package = "of no package"
    return f"{code.name}, {package}, SHA-256 {digest}"


def _version(tool: str) -> str:
    said = subprocess.run([tool, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"version ([\d.]+)", said)
    name = "QEMU" if tool.startswith("qemu") else tool
    return f"{name} {found[1].rstrip('.') if found else 'of unknown version'}"


def _tell(comparison: Comparison) -> bool:
    """Say how it went; gives whether everything had a reason."""
    fine = True
    for section in comparison.sections:
        equal = sum(each.verdict is judge.Verdict.EQUAL for each in section.rows)
        print(f"  {section.title}: {equal} of {len(section.rows)} equal")
        for each in judge.unexplained(section.rows):
            fine = False
            print(f"    unexplained: {each.what}: {each.why}")
    return fine


def main() -> int:
    """Compare all, write the page, and tell what has no reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architectures", nargs="*", metavar="ARCHITECTURE", help="amd64 or arm64; both without")
    parser.add_argument("-o", dest="output", type=Path, default=DOCS, help="the folder that the pages go to")
    parser.add_argument("--keep", type=Path, help="keep what the guests collected, and the runs, in this folder")
    options = parser.parse_args()
    chosen = options.architectures or list(CASES)
    if unknown := set(chosen) - CASES.keys():
        parser.error(f"no architecture here: {', '.join(sorted(unknown))}")
    try:
        for architecture in chosen:
            qemu.check(qemu.BOARDS[architecture])
    except qemu.Failed as why:
        print(why, file=sys.stderr)
        return _MISSING
    fine = True
    with nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as kept:
        for architecture in chosen:
            made = []
            for number, (name, by_entry) in enumerate(CASES[architecture]):
                folder = Path(kept).absolute() / f"{architecture}-{number}"
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                print(name, "by a boot entry" if by_entry else "by -kernel", flush=True)
                try:
                    made.append(compare(name, folder, by_entry=by_entry))
                except (qemu.Failed, PayloadError, LogError, UnreadableError) as why:
                    print(f"{name}: {why}", file=sys.stderr)
                    return 1
                fine = _tell(made[-1]) and fine
            (options.output / f"fidelity-{architecture}.md").write_text(page(qemu.BOARDS[architecture].name, made))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
