"""The self-test on our firmware."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import disk
from lines import VARIABLE, VENDOR, Line, checks
from shim.config.platform import load_platform
from shim.disks.attached import settings_of
from shim.session.from_disk import find
from shim.session.request import Request
from shim.session.run import Session

if TYPE_CHECKING:
    from pathlib import Path

    from shim.config.platform import Platform
    from shim.config.run import RunReport

#: The platform that is like the machine that QEMU has.
PLATFORMS = {"x86_64": "q35", "i386": "q35-ia32", "aarch64": "virt-arm64", "arm": "virt-arm"}


def platform_of(machine: str) -> Platform:
    """That platform, with a TPM."""
    return load_platform(PLATFORMS[machine]).model_copy(update={"tpm": load_platform("q35-tpm").tpm})


def run(machine: str, folder: Path, platform: Platform | None = None) -> tuple[RunReport, str]:
    """Boot it from a disk; gives the report, and what it left in its variable."""
    made = (platform or platform_of(machine)).with_disks([settings_of(disk.make(machine, folder))])
    boot = find(None, made)
    (folder / "run").mkdir()
    session = Session(Request(boot.payload, made, boot=boot), folder / "run")
    report = session.run()
    return report, session._firmware.variables.value((VARIABLE, UUID(VENDOR))).decode("ascii")


def of_ours(machine: str, folder: Path) -> dict[str, Line]:
    """The checks on our firmware; raises Broken."""
    report, left = run(machine, folder)
    return checks(report.console, left)
