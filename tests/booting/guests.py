"""A kernel's run gone on with in QEMU, and what its user space finds, beside what the run says it has to find."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import initramfs
import packages
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.log import decode
from efi_services.tcg.registers import PCRS, Pcrs, replay
from observed import RUNTIME, TABLES, Range, memory_map, tables, type_name
from payloads import catalogue
from payloads.fetch import fetch
from qemu import Failed, collected, swtpm
from shim.config.places import cache_folder
from shim.measure.ima_list import PCR

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a guest is asked for, beside its messages and its initrd's digest.
COLLECTED = (
    "/proc/cmdline",
    "/sys/firmware/efi/fw_platform_size",
    "/sys/firmware/efi/efivars",
    "/sys/kernel/security/tpm0/binary_bios_measurements",
    "/sys/class/tpm/tpm0/pcr-sha256",
)
SHA256 = Algorithm.SHA256
MODULES = ("efivarfs.ko",)
WITH_TPM, WITH_ACPI = "q35-tpm", "q35-acpi"
CONSOLES = {"amd64": "ttyS0", "arm64": "ttyAMA0", "riscv64": "ttyS0"}
#: What no boot may say.
_BAD = re.compile(r"\bBUG\b|WARNING:|Firmware Bug|Oops|runtime services will not be accessible|Unable to switch EFI")
_LINE = re.compile(r"^\[ *\d+\.\d+\] (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Found:
    """One thing: what the run says, and what the guest found."""

    what: str
    run: Any
    guest: Any

    @property
    def equal(self) -> bool:
        """Whether both say the same."""
        return bool(self.run == self.guest)


def boot(name: str, folder: Path, platform: str | None = None, file: Path | None = None) -> Iterator[Found]:
    """Run a kernel of the catalogue, go on with it, and compare; with a TPM on `WITH_TPM`. Raises Failed.

    *file* is run in its stead: one that the kernel is in.
    """
    entry, cache = catalogue.find(name), cache_folder()
    fetched = fetch(entry, cache=cache)
    modules = packages.modules(entry, fetched, MODULES, cache)
    if platform == WITH_TPM:
        modules |= packages.tpm_modules(entry, fetched, cache)
    # Without ACPI a PC can't be switched off.
    leave = "reboot -f" if entry.architecture == "amd64" and platform != WITH_ACPI else "poweroff -f"
    busybox = packages.busybox(entry.architecture, cache)
    initrd = folder / "initrd"
    initrd.write_bytes(initramfs.build(busybox, modules, COLLECTED, leave))
    line = f"console={CONSOLES[entry.architecture]} panic=-1 efi=debug retain_initrd reboot=efi"
    if platform == WITH_TPM:
        # Without ACPI nothing tells where it is.
        line += " tpm_tis.force=1 tpm_tis.interrupts=0"
    tool, run = Path(sys.executable).with_name("efi-shim"), folder / "run"
    words = ["--trace", "calls", "--dump-ram", "--quiet", "--out", run, "--initrd", initrd, "--cmdline", line]
    _done([tool, "run", file or name, *words, *(("--platform", platform) if platform else ())])
    with swtpm(folder) if platform == WITH_TPM else nullcontext() as socket:
        console = _done([tool, "boot", run, "--quiet", *(("--swtpm", socket) if socket else ())])
    (folder / "console").write_bytes(console)
    return compare(run, collected(console))


def compare(run: Path, files: dict[str, bytes]) -> Iterator[Found]:
    """What a run's folder says beside the files that the guest collected."""
    report, state = (json.loads((run / each).read_text()) for each in ("run.json", "handoff/state.json"))
    said = _LINE.findall(files["dmesg"].decode("utf-8", "replace"))
    bad = [each for each in said if _BAD.search(each)]
    yield Found("messages of trouble", [], bad)
    yield Found("command line", report["inputs"]["cmdline"], files["proc/cmdline"].decode().rstrip("\n"))
    initrd = files.get("initrd.sha256")
    # Linux 6.1 keeps none.
    if initrd is not None:
        yield Found("SHA-256 of the initrd", report["inputs"]["initrd_sha256"], initrd.split()[0].decode())
    yield Found("firmware's bits", b"64\n", files.get("sys/firmware/efi/fw_platform_size"))
    named = {TABLES[guid]: at for guid, at in state["configuration_tables"].items() if guid in TABLES}
    seen = tables(said)
    # A kernel tells of those only that it has a use for.
    yield Found("configuration tables", {each: named.get(each) for each in seen}, seen)
    ranges = [
        Range(
            each["start"], each["start"] + each["pages"] * 4096, type_name(each["type"]),
            bool(each["attribute"] & RUNTIME),
        )
        for each in state["memory_map"]
    ]  # fmt: skip
    yield Found("memory map", ranges, list(memory_map(said)))
    yield Found("variables", _told(state["variables"]), _seen(files))
    log = run / "eventlog.bin"
    if log.exists():
        yield Found("a table of the TPM's event log", True, "TPMEventLog" in seen)
        extended = replay(decode(log.read_bytes()).events, (SHA256,))
        blank = {index: {SHA256: Pcrs((SHA256,)).value(SHA256, index)} for index in range(PCRS)}
        values = {str(index): value[SHA256].hex() for index, value in (blank | extended).items() if index != PCR}
        yield Found("PCRs", values, _registers(files))
    measured = files.get("sys/kernel/security/tpm0/binary_bios_measurements")
    if measured is not None:
        yield Found("binary_bios_measurements", log.read_bytes(), measured)


def _registers(files: dict[str, bytes]) -> dict[str, str]:
    """Files of sysfs: a digest in upper case each. The kernel's own IMA has extended its PCR by then."""
    folder = "sys/class/tpm/tpm0/pcr-sha256/"
    return {
        name.removeprefix(folder): data.decode().strip().lower()
        for name, data in files.items()
        if name.startswith(folder) and name != f"{folder}{PCR}"
    }


def _told(variables: list[dict[str, Any]]) -> dict[str, tuple[int, str]]:
    return {f"{each['name']}-{each['vendor']}": (each["attributes"], each["data"]) for each in variables}


def _seen(files: dict[str, bytes]) -> dict[str, tuple[int, str]]:
    """Files of efivarfs: attributes, then data."""
    folder = "sys/firmware/efi/efivars/"
    return {
        name.removeprefix(folder): (int.from_bytes(data[:4], "little"), data[4:].hex())
        for name, data in files.items()
        if name.startswith(folder)
    }


def _done(words: list[Any]) -> bytes:
    done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    if done.returncode:
        raise Failed(f"efi-shim {words[1]} ended with exit status {done.returncode}")
    return done.stdout
