"""The self-test on EDK II, in QEMU: started as the default application of a disk."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from virt.firmware.varstore.edk2 import Edk2VarStore

from lines import VARIABLE, VENDOR, Broken, checks
from payloads import catalogue
from qemu import console_of

if TYPE_CHECKING:
    from lines import Line

#: Seconds for a boot; emulated, on a busy machine.
LIMIT_S = 300
_X86 = ("-machine", "q35,accel=tcg")
_SMM = ("-machine", "q35,accel=tcg,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on")


@dataclass(frozen=True)
class Board:
    """A machine of QEMU's with its firmware, and what the default application is called there (3.5.1.1)."""

    name: str
    qemu: str
    machine: tuple[str, ...]
    #: Where Debian's packages have the firmware: code, and the variables that it begins with.
    firmware: tuple[str, str]
    application: str
    packages: str


_OVMF, _AAVMF = "/usr/share/OVMF/", "/usr/share/AAVMF/"
BOARDS = {
    "x86_64": Board(
        "OVMF", "qemu-system-x86_64", _X86, (f"{_OVMF}OVMF_CODE_4M.fd", f"{_OVMF}OVMF_VARS_4M.fd"),
        "BOOTX64.EFI", "qemu-system-x86 ovmf",
    ),
    # It keeps its variables from the guest in System Management Mode.
    "i386": Board(
        "OVMF for IA-32", "qemu-system-i386", _SMM, (f"{_OVMF}OVMF32_CODE_4M.secboot.fd", f"{_OVMF}OVMF32_VARS_4M.fd"),
        "BOOTIA32.EFI", "qemu-system-x86 ovmf-ia32",
    ),
    "aarch64": Board(
        "AAVMF", "qemu-system-aarch64", ("-machine", "virt,accel=tcg", "-cpu", "cortex-a57"),
        (f"{_AAVMF}AAVMF_CODE.fd", f"{_AAVMF}AAVMF_VARS.fd"), "BOOTAA64.EFI", "qemu-system-arm qemu-efi-aarch64",
    ),
    "arm": Board(
        "AAVMF for 32-bit Arm", "qemu-system-arm", ("-machine", "virt,accel=tcg", "-cpu", "cortex-a15"),
        (f"{_AAVMF}AAVMF32_CODE.fd", f"{_AAVMF}AAVMF32_VARS.fd"), "BOOTARM.EFI", "qemu-system-arm qemu-efi-arm",
    ),
}  # fmt: skip


def missing(board: Board) -> str:
    """The packages that are needed and not there, or nothing."""
    there = shutil.which(board.qemu) and all(map(os.path.isfile, board.firmware))
    return "" if there else board.packages


def of_theirs(machine: str, folder: Path) -> dict[str, Line]:
    """The checks on the machine's firmware, whose boot goes to *folder*; raises Broken."""
    board = BOARDS[machine]
    boot = folder / "disk" / "EFI" / "BOOT"
    boot.mkdir(parents=True)
    shutil.copy(catalogue.program(f"program:selftest-{machine}"), boot / board.application)
    variables = folder / "variables.fd"
    shutil.copy(board.firmware[1], variables)
    said = console_of(
        [
            board.qemu, *board.machine, "-m", "512M", "-display", "none", "-nodefaults", "-nic", "none", "-no-reboot",
            "-serial", "stdio",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={board.firmware[0]}",
            "-drive", f"if=pflash,format=raw,unit=1,file={variables}",
            "-drive", f"if=none,id=disk,format=raw,readonly=on,file=fat:{folder / 'disk'}",
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
