"""The machines of QEMU's that ready platforms are like."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from shim.errors import MissingError, NotRunnableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from shim.config.platform import Platform

#: The first version whose machines are like our platforms.
OLDEST = (7, 2)
_VERSION_S = 30


@dataclass(frozen=True, slots=True)
class Board:
    """A machine of QEMU's: how it is asked for, and where its RAM begins.

    *above* is where RAM goes on that has no room below. *kept* is RAM that belongs to the machine's own firmware. *tpm*
    is its TPM, where kernels find one without being told of it.
    """

    program: str
    package: str
    machine: str
    cpus: dict[str, str]
    ram: int
    above: int | None = None
    kept: tuple[int, int] = (0, 0)
    tpm: str | None = None


_X86_CPUS = {"nehalem": "Nehalem", "westmere": "Westmere", "sandybridge": "SandyBridge"}
BOARDS = {
    "x86_64": Board(
        "qemu-system-x86_64",
        "qemu-system-x86",
        "pc-q35-7.2",
        # QEMU 7.2 leaves wrong flags behind CMPXCHG16B, and an exception that comes then keeps them: without counted
        # instructions most boots end in a fault, and some with. Kernels do without where CPUID does not tell of it.
        {each: f"{name}-v1,-cx16" for each, name in _X86_CPUS.items()},
        ram=0,
        above=4 << 30,
        tpm="tpm-tis",
    ),
    "aarch64": Board(
        "qemu-system-aarch64",
        "qemu-system-arm",
        # With ACPI, and what it takes for a firmware, it has another device in place of pl061.
        "virt-7.2,acpi=off",
        {each: each for each in ("cortex-a53", "cortex-a57", "cortex-a72")},
        ram=1 << 30,
    ),
    "riscv64": Board(
        "qemu-system-riscv64",
        "qemu-system-misc",
        "virt",
        {"rv64": "rv64", "sifive-u54": "sifive-u54"},
        ram=2 << 30,
        kept=(2 << 30, (2 << 30) + (512 << 10)),
    ),
}


def board_of(platform: Platform) -> Board:
    """The machine that is like a platform; raises NotRunnableError where there is none."""
    board = BOARDS.get(platform.machine)
    if board is None:
        raise NotRunnableError(f"only runs on {', '.join(BOARDS)} can be gone on with, not on {platform.machine}")
    first, *others = platform.memory.ranges
    if first[0] != board.ram or [start for start, _ in others] != ([board.above] if others else []):
        raise NotRunnableError(f"platform {platform.name}: no machine of QEMU's has its RAM there")
    return board


def check(board: Board) -> None:
    """Raise MissingError where QEMU is not installed, or too old."""
    wanted = f"install {board.package}, version {'.'.join(map(str, OLDEST))} or later"
    if shutil.which(board.program) is None:
        raise MissingError(f"{board.program} is needed: {wanted}")
    try:
        said = subprocess.run(
            [board.program, "--version"], capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL, timeout=_VERSION_S,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    found = re.search(r"version (\d+)\.(\d+)", said)
    if found is None:
        raise MissingError(f"{board.program} does not tell its version: {wanted}")
    if (int(found[1]), int(found[2])) < OLDEST:
        raise MissingError(f"{board.program} is of version {found[1]}.{found[2]}: {wanted}")


def command(board: Board, platform: Platform, ram: str, rom: str, swtpm: Path | None = None) -> list[str]:
    """The words of QEMU's command, with RAM and ROM in files, and a TPM as `tpm_words` has it."""
    machine = f"{board.machine},accel=tcg,memory-backend=ram"
    if board.above is not None and platform.memory.low_limit < board.above:
        machine += f",max-ram-below-4g={platform.memory.low_limit}"
    if platform.exception_level > 1:
        machine += ",virtualization=on"
    tpm = () if swtpm is None else tpm_words(board, platform, swtpm)
    size = platform.memory.size
    # Also where the guest reads the machine's own clock, nothing comes from the host's.
    clock = platform.firmware.start_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return [
        board.program, "-machine", machine, "-cpu", board.cpus[platform.cpu], "-m", f"{size >> 10}K",
        "-object", f"memory-backend-file,id=ram,size={size},mem-path={ram},share=on",
        *(("-bios", "default", "-kernel", rom) if platform.machine == "riscv64" else ("-bios", rom)),
        "-rtc", f"base={clock},clock=vm", "-nodefaults", "-display", "none", "-nic", "none", "-no-reboot",
        *tpm, "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    ]  # fmt: skip


def tpm_words(board: Board, platform: Platform, swtpm: Path) -> tuple[str, ...]:
    """Of QEMU's command, those for a TPM at the control socket of an swtpm.

    Raises:
        UsageError: a kernel would not find it, or its path can't be said.
    """
    if board.tpm is None or platform.tpm is None:
        raise UsageError(f"--swtpm: the kernel of a run on {platform.name} would not find a TPM")
    if "," in str(swtpm):
        raise UsageError(f"--swtpm {swtpm}: QEMU takes no comma in the path of a socket")
    return (
        "-chardev", f"socket,id=tpm,path={swtpm}", "-tpmdev", "emulator,id=tpm,chardev=tpm",
        "-device", f"{board.tpm},tpmdev=tpm",
    )  # fmt: skip
