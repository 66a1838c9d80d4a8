"""The self-test on our firmware."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import payloads
from lines import VARIABLE, VENDOR, Line, checks
from payloads import catalogue
from shim.config.platform import load_platform
from shim.session.request import Request
from shim.session.run import Session

if TYPE_CHECKING:
    from pathlib import Path

    from shim.config.platform import Platform
    from shim.config.run import RunReport

#: The platform that is like the machine that QEMU has.
PLATFORMS = {"x86_64": "q35", "i386": "q35-ia32", "aarch64": "virt-arm64", "arm": "virt-arm"}


def run(machine: str, folder: Path, platform: Platform | None = None) -> tuple[RunReport, str]:
    """Run it; gives the report, and what it left in its variable."""
    name = f"program:selftest-{machine}"
    folder.mkdir(parents=True)
    payload = payloads.open_payload(catalogue.program(name), name)
    session = Session(Request(payload, platform or load_platform(PLATFORMS[machine])), folder)
    report = session.run()
    return report, session._firmware.variables.value((VARIABLE, UUID(VENDOR))).decode("ascii")


def of_ours(machine: str, folder: Path) -> dict[str, Line]:
    """The checks on our firmware; raises Broken."""
    report, left = run(machine, folder)
    return checks(report.console, left)
