"""The folder that is the disk of both machines: the self-test's programs, one of which is the default application."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from payloads import catalogue

if TYPE_CHECKING:
    from pathlib import Path

#: What the default application is called (UEFI 2.10, section 3.5.1.1).
APPLICATIONS = {"x86_64": "BOOTX64.EFI", "i386": "BOOTIA32.EFI", "aarch64": "BOOTAA64.EFI", "arm": "BOOTARM.EFI"}


def make(machine: str, folder: Path) -> Path:
    """Make it within *folder*."""
    disk = folder / "disk"
    boot = disk / "EFI" / "BOOT"
    boot.mkdir(parents=True)
    shutil.copy(catalogue.program(f"program:selftest_protocols-{machine}"), boot / APPLICATIONS[machine])
    shutil.copy(catalogue.program(f"program:selftest-{machine}"), boot / "SELFTEST.EFI")
    return disk
