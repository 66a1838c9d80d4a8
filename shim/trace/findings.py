"""What is remarkable about an access: the kinds of findings, and which region is checked for which."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING

from efi_services.ports import Access

if TYPE_CHECKING:
    from shim.trace.regions import Region

#: In the order in which the native recorder counts them.
KINDS = (
    "read-of-unwritten",
    "access-to-freed",
    "access-to-nobodys",
    "boot-services-memory-after-exit",
    "write-to-code",
    "execution-of-data",
)
UNWRITTEN, TO_FREED, TO_NOBODYS, AFTER_EXIT, TO_CODE, EXECUTED_DATA = range(6)


class Check(IntFlag):
    """What is looked at in a region; the native recorder knows these numbers."""

    WRITTEN = 1
    FREED = 2
    NOBODYS = 4
    BOOT_SERVICES = 8
    CODE = 16
    EXECUTABLE = 32
    #: Not a check: nobody has written it since it was given out.
    FRESH = 64


def checks_of(region: Region) -> Check:
    """The checks that accesses to *region* are put to."""
    if not region.id:
        return Check.FREED
    checks = Check(0)
    # What a guest allocates, and its stack, somebody has to write before anybody reads it.
    if region.kind in ("pages", "pool", "stack"):
        checks |= Check.WRITTEN
    # The stack can't be left before ExitBootServices returns on it, so its use afterwards says nothing.
    if region.type in ("BootServicesCode", "BootServicesData") and region.kind != "stack":
        checks |= Check.BOOT_SERVICES
    if region.kind == "image" and (Access.EXECUTE in region.access or Access.WRITE not in region.access):
        checks |= Check.CODE
    if Access.EXECUTE in region.access:
        checks |= Check.EXECUTABLE
    return checks


@dataclass(frozen=True, slots=True)
class Noticed:
    """A finding about accesses: its kind, the first case in words, the call before it, and how many."""

    kind: str
    first: str
    first_call: int | None
    count: int


def noticed(kind: int, count: int, pc: int, address: int, calls_begun: int, where: str) -> Noticed:
    """A finding in words; *where* is a region as `where` describes it."""
    first = f"{address:#x} in {where}" + ("" if kind == EXECUTED_DATA else f", from the code at {pc:#x}")
    return Noticed(KINDS[kind], first, calls_begun - 1 if calls_begun else None, count)


def where(region: Region | None) -> str:
    """A region in words."""
    if region is None:
        return "memory that nobody owns"
    if not region.id:
        return "memory that was freed"
    return f"{region.kind} {region.name or region.type}"
