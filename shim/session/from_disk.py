"""Runs that begin on a disk: with what the boot manager chooses, or with a file that is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import payloads
from efi_services import device_path
from shim.disks.attached import Attached
from shim.errors import NotRunnableError, UsageError
from shim.session.build import build

if TYPE_CHECKING:
    from efi_services import platform as firmware_platform
    from payloads import Payload
    from shim.config.platform import Platform
    from shim.machine.machine import Layout

#: Before the path of a file on a disk; by itself, it means the boot manager.
PREFIX = "disk:"


@dataclass(frozen=True, slots=True)
class DiskBoot:
    """What a run from disks begins with: the words that asked for it, the program, and its device path.

    Where the boot manager chooses, there is no path: the program is the one that it should come to first.
    """

    asked: str
    payload: Payload
    path: bytes | None
    disks: Attached


def is_on_disk(name: str | None) -> bool:
    """Whether a word on the command line, or the lack of one, means a run from a disk."""
    return name is None or name.startswith(PREFIX)


def find(name: str | None, platform: Platform) -> DiskBoot:
    """Open the disks, and find the program.

    Raises:
        UsageError: there is none.
        NotRunnableError: it is no program.
        UnreadableError: a disk can't be read.
    """
    if not platform.disk:
        raise UsageError("give a PAYLOAD, or a disk to boot from with --disk")
    disks = Attached(platform)
    try:
        return _find(name or PREFIX, platform, disks)
    except BaseException:
        disks.close()
        raise


def build_with(
    platform: Platform, disks: Attached, *, unprivileged: bool = False
) -> tuple[Layout, firmware_platform.Platform]:
    """As `build`, with the boot entries that refer to the disks."""
    layout, made = build(platform, unprivileged=unprivileged)
    # Of two variables with one name the later counts: the user's own.
    return layout, replace(made, variables=(*disks.boot_variables(platform), *made.variables))


def _find(name: str, platform: Platform, disks: Attached) -> DiskBoot:
    wanted = name.removeprefix(PREFIX).replace("/", "\\").lstrip("\\")
    variables = build_with(platform, disks)[1].variables
    choice = disks.find(f"\\{wanted}") if wanted else disks.first_choice(variables)
    file = device_path.file_of([each for each in device_path.nodes(choice.path) if each[:2] == b"\4\4"])
    data = disks.read(choice)
    if data is None:
        raise UsageError(f"{file} can't be read from its disk")
    try:
        program = payloads.identify(data, f"{PREFIX}{file}")
    except payloads.PayloadError as why:
        raise NotRunnableError(f"{file}: {why}") from None
    return DiskBoot(f"{PREFIX}{file}" if wanted else PREFIX, program, choice.path if wanted else None, disks)
