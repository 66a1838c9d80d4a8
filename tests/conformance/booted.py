"""The self-test on EDK II, in QEMU: started as the default application of a disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from virt.firmware.varstore.edk2 import Edk2VarStore

import disk
from lines import VARIABLE, VENDOR, Broken, checks
from qemu import console_of, swtpm

if TYPE_CHECKING:
    from lines import Line

#: Seconds for a boot; emulated, on a busy machine.
LIMIT_S = 300
#: Time by instructions, eight nanoseconds each: a busy host makes no timer late.
_TIME = ("-icount", "shift=3,sleep=off", "-rtc", "clock=vm")
_X86 = ("-machine", "q35,accel=tcg")
_SMM = ("-machine", "q35,accel=tcg,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on")


@dataclass(frozen=True)
class Board:
    """A machine of QEMU's with its firmware; *tpm* is the device that is its TPM."""

    name: str
    qemu: str
    machine: tuple[str, ...]
    #: Where Debian's packages have the firmware: code, and the variables that it begins with.
    firmware: tuple[str, str]
    tpm: str
    packages: str


_OVMF, _AAVMF = "/usr/share/OVMF/", "/usr/share/AAVMF/"
BOARDS = {
    "x86_64": Board(
        "OVMF", "qemu-system-x86_64", _X86, (f"{_OVMF}OVMF_CODE_4M.fd", f"{_OVMF}OVMF_VARS_4M.fd"),
        "tpm-tis", "qemu-system-x86 ovmf swtpm",
    ),
    # It keeps its variables from the guest in System Management Mode.
    "i386": Board(
        "OVMF for IA-32", "qemu-system-i386", _SMM, (f"{_OVMF}OVMF32_CODE_4M.secboot.fd", f"{_OVMF}OVMF32_VARS_4M.fd"),
        "tpm-tis", "qemu-system-x86 ovmf-ia32 swtpm",
    ),
    "aarch64": Board(
        "AAVMF", "qemu-system-aarch64", ("-machine", "virt,accel=tcg", "-cpu", "cortex-a57"),
        (f"{_AAVMF}AAVMF_CODE.fd", f"{_AAVMF}AAVMF_VARS.fd"), "tpm-tis-device",
        "qemu-system-arm qemu-efi-aarch64 swtpm",
    ),
    "arm": Board(
        "AAVMF for 32-bit Arm", "qemu-system-arm", ("-machine", "virt,accel=tcg", "-cpu", "cortex-a15"),
        (f"{_AAVMF}AAVMF32_CODE.fd", f"{_AAVMF}AAVMF32_VARS.fd"), "tpm-tis-device",
        "qemu-system-arm qemu-efi-arm swtpm",
    ),
}  # fmt: skip


def missing(board: Board) -> str:
    """The packages that are needed and not there, or nothing."""
    there = shutil.which(board.qemu) and shutil.which("swtpm") and all(map(os.path.isfile, board.firmware))
    return "" if there else board.packages


def of_theirs(machine: str, folder: Path) -> dict[str, Line]:
    """The checks on the machine's firmware, whose boot goes to *folder*; raises Broken."""
    board = BOARDS[machine]
    files = disk.make(machine, folder)
    variables = folder / "variables.fd"
    shutil.copy(board.firmware[1], variables)
    with swtpm(folder) as socket:
        said = console_of(
            [
                board.qemu, *board.machine, *_TIME, "-m", "512M", "-display", "none", "-nodefaults", "-nic", "none",
                "-no-reboot", "-serial", "stdio", "-object", "rng-builtin,id=rng",
                "-device", "virtio-rng-pci,rng=rng",
                "-chardev", f"socket,id=tpmctl,path={socket}", "-tpmdev", "emulator,id=tpm,chardev=tpmctl",
                "-device", f"{board.tpm},tpmdev=tpm",
                "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={board.firmware[0]}",
                "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
                "-drive", f"if=none,id=disk,format=raw,readonly=on,file=fat:{files}",
                "-device", "virtio-blk-pci,drive=disk,romfile=",
            ],
            LIMIT_S,
        )  # fmt: skip
    (folder / "console").write_bytes(said)
    # A flash that its firmware has not got to is blank, and no store.
    stored = Edk2VarStore.probe(str(variables))
    left = Edk2VarStore(str(variables)).get_varlist().get(VARIABLE) if stored else None
    if left is None or str(left.guid) != VENDOR:
        raise Broken(f"it did not come to its end; its last words: {said[-80:]!a}")
    return checks(said.decode("utf-8", "replace"), left.data.decode("ascii", "replace"))


def version(board: Board) -> str:
    """The firmware's package and its version, where dpkg knows them."""
    try:
        asked = ["dpkg-query", "-S", board.firmware[0]]
        package = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.partition(":")[0]
        asked = ["dpkg-query", "-W", "-f", "${Package} ${Version}", package]
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return Path(board.firmware[0]).name
