"""The Secure Launch Resource Table and its policy, as TrenchBoot's boot loaders and kernels lay it out.

Two layouts are in use, both of revision 1: *current* (entries with 32-bit tags and sizes, 2024 and later) and *first*
(16-bit ones, the policy's address before its size, 2022 and 2023). Which of them depends on the kernel alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

MAGIC = 0x4452544D
REVISION = 1
TXT, SKINIT = 1, 2
MAX_SIZE = 4096
LAYOUTS = ("current", "first")


class Tag(IntEnum):
    """Kinds of entries."""

    DL_INFO = 1
    LOG_INFO = 2
    ENTRY_POLICY = 3
    INTEL_INFO = 4
    AMD_INFO = 5
    ARM_INFO = 6
    UEFI_INFO = 7
    UEFI_CONFIG = 8
    END = 0xFFFF


class Entity(IntEnum):
    """What a policy entry measures."""

    UNSPECIFIED = 0
    SLRT = 1
    BOOT_PARAMS = 2
    SETUP_DATA = 3
    CMDLINE = 4
    UEFI_MEMMAP = 5
    RAMDISK = 6
    TXT_OS2MLE = 0x10
    UNUSED = 0xFFFF


MEASURED = 1
IMPLICIT_SIZE = 2


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """One entry of the policy: into which PCR, what, and the event's text (31 characters at the most)."""

    pcr: int
    entity: Entity
    info: str
    address: int = 0
    size: int = 0
    flags: int = MEASURED


def entry(tag: Tag, body: bytes, layout: str) -> bytes:
    """An entry with its header."""
    head = "<II" if layout == "current" else "<HH"
    return struct.pack(head, tag, struct.calcsize(head) + len(body)) + body


def policy(entries: tuple[PolicyEntry, ...], layout: str) -> bytes:
    """SLR_ENTRY_POLICY with its entries."""
    body = struct.pack("<4xHH" if layout == "current" else "<HH", REVISION, len(entries))
    for each in entries:
        numbers = (each.size, each.address) if layout == "current" else (each.address, each.size)
        body += struct.pack("<HHHHQQ32s", each.pcr, each.entity, each.flags, 0, *numbers, each.info.encode()[:31])
    return entry(Tag.ENTRY_POLICY, body, layout)


def intel_info(boot_params: int, txt_heap: int, misc_enable: int, layout: str) -> bytes:
    """SLR_ENTRY_INTEL_INFO: where boot_params and the TXT heap are, and MTRRs, of which an emulated CPU has none."""
    mtrr_state = struct.pack("<QQ", 0, 0) + bytes(32 * 16)
    return entry(Tag.INTEL_INFO, struct.pack("<QQQ", boot_params, txt_heap, misc_enable) + mtrr_state, layout)


def log_info(address: int, size: int, layout: str) -> bytes:
    """SLR_ENTRY_LOG_INFO: a crypto-agile log."""
    return entry(Tag.LOG_INFO, struct.pack("<HHIQ", 2, 0, size, address), layout)


def table(entries: tuple[bytes, ...], architecture: int, layout: str) -> bytes:
    """The table itself: its entries, and one that says that there are no more."""
    body = b"".join(entries) + entry(Tag.END, b"", layout)
    return struct.pack("<IHHII", MAGIC, REVISION, architecture, 16 + len(body), MAX_SIZE) + body
