"""The Secure Launch Resource Table as boot loaders leave it and kernels measure it (TrenchBoot's SLR table).

All its layouts say revision 1; which one a table has, the kernel alone decides. They are told apart by the year in
which the kernel's include/linux/slr_table.h was written.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

MAGIC = 0x4452544D
REVISION = 1
TXT, SKINIT = 1, 2
#: Loaders give it a page.
MAX_SIZE = 1 << 16
_HEADER = struct.Struct("<IHHII")
_TEXT = 32
#: MTRRs as the loader found them: the default type, how many there are, and room for 32 pairs.
_MTRR_STATE = 8 + 8 + 32 * 16
#: SLR_ENTRY_AMD_INFO, and what of it are addresses.
_AMD_INFO, _AMD_ADDRESSES = 56, ((8, 16), (32, 48))


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


class SlrtError(ValueError):
    """What is wrong with a table, and at which offset."""

    def __init__(self, why: str, offset: int) -> None:
        super().__init__(f"offset {offset:#x}: {why}")


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout: whether tags and sizes have 32 bits, and how many addresses INTEL_INFO begins with.

    *copied* says that the kernel measures a copy of INTEL_INFO without these addresses. Kernels before that meant to,
    and measured as many bytes from the beginning of the table, where other addresses are. *described* says that
    DL_INFO tells where the kernel's header and its parameters are, too.
    """

    wide: bool
    addresses: int
    copied: bool
    described: bool = False

    @property
    def head(self) -> struct.Struct:
        """An entry's tag and size."""
        return struct.Struct("<II" if self.wide else "<HH")

    @property
    def intel_info(self) -> int:
        """The size of INTEL_INFO: addresses, MSR_IA32_MISC_ENABLE, MTRRs."""
        return self.head.size + 8 * self.addresses + 8 + _MTRR_STATE


@dataclass(frozen=True, slots=True)
class Measured:
    """An entry of the policy, or of UEFI_CONFIG: into which PCR, what, how many bytes of it, and the event's text.

    *address* is where that lies, as the table says.
    """

    pcr: int
    entity: int
    text: str
    size: int = 0
    address: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was read: its policy, its UEFI_CONFIG, and what of the table itself is measured."""

    architecture: int
    policy: tuple[Measured, ...]
    config: tuple[Measured, ...]
    measured: bytes


def read(data: bytes, layout: Layout) -> Table:
    """Read a table.

    Raises:
        SlrtError: it is none, or contradicts itself.
    """
    if len(data) < _HEADER.size:
        raise SlrtError("the table is cut off", 0)
    magic, revision, architecture, size, _ = _HEADER.unpack_from(data)
    if magic != MAGIC or revision != REVISION:
        raise SlrtError("no SLR table of revision 1", 0)
    if not _HEADER.size <= size <= min(len(data), MAX_SIZE):
        raise SlrtError(f"it says that it has {size} bytes", 0)
    entries = _entries(data[:size], layout)
    if Tag.ENTRY_POLICY not in entries:
        raise SlrtError("it has no policy", _HEADER.size)
    policy = _policy(*entries[Tag.ENTRY_POLICY], layout)
    config = _config(*entries[Tag.UEFI_CONFIG], layout) if Tag.UEFI_CONFIG in entries else ()
    return Table(architecture, policy, config, _measured(data[:size], entries, architecture, layout))


def _entries(data: bytes, layout: Layout) -> dict[int, tuple[int, bytes]]:
    """The first entry of each kind, whole, with its offset: a kernel looks no further."""
    found: dict[int, tuple[int, bytes]] = {}
    at, head = _HEADER.size, layout.head
    while at + head.size <= len(data):
        tag, size = head.unpack_from(data, at)
        if tag == Tag.END:
            break
        if not head.size <= size <= len(data) - at:
            raise SlrtError(f"an entry says that it has {size} bytes", at)
        found.setdefault(tag, (at, data[at : at + size]))
        at += size
    return found


def _policy(at: int, entry: bytes, layout: Layout) -> tuple[Measured, ...]:
    # pcr, entity type, flags, reserved; size and address in turn; text.
    each = struct.Struct("<HHHHQQ32s")
    rows = _rows(at, entry, layout, each)
    return tuple(
        Measured(pcr, kind, _text(text), *((first, second) if layout.wide else (second, first)))
        for pcr, kind, _, _, first, second, text in rows
    )


def _config(at: int, entry: bytes, layout: Layout) -> tuple[Measured, ...]:
    rows = _rows(at, entry, layout, struct.Struct("<HHIQ32s"))
    return tuple(Measured(pcr, Entity.UNSPECIFIED, _text(text), size, at) for pcr, _, size, at, text in rows)


def _rows(at: int, entry: bytes, layout: Layout, each: struct.Struct) -> list[tuple[int, ...]]:
    """The rows behind revision and count."""
    begin = layout.head.size + (8 if layout.wide else 4)
    if len(entry) < begin:
        raise SlrtError("an entry ends before its count", at)
    revision, count = struct.unpack_from("<HH", entry, begin - 4)
    if revision != REVISION or begin + count * each.size > len(entry):
        raise SlrtError(f"revision {revision} with {count} entries in {len(entry)} bytes", at)
    return [each.unpack_from(entry, begin + number * each.size) for number in range(count)]


def _text(text: bytes | int) -> str:
    assert isinstance(text, bytes)
    return text.split(b"\0")[0].decode("ascii", "backslashreplace")


def _measured(data: bytes, entries: dict[int, tuple[int, bytes]], architecture: int, layout: Layout) -> bytes:
    """The part of the table that counts."""
    if architecture == SKINIT:
        return _without(_AMD_ADDRESSES, _info(entries, Tag.AMD_INFO, _AMD_INFO))
    info = _info(entries, Tag.INTEL_INFO, layout.intel_info)
    if layout.copied:
        return _without(((layout.head.size, layout.head.size + 8 * layout.addresses),), info)
    if len(data) < layout.intel_info:
        raise SlrtError(f"{layout.intel_info} bytes of it are measured, and it has {len(data)}", 0)
    return data[: layout.intel_info]


def _info(entries: dict[int, tuple[int, bytes]], tag: Tag, size: int) -> bytes:
    if tag not in entries:
        raise SlrtError(f"it has no {tag.name}", _HEADER.size)
    at, info = entries[tag]
    if len(info) != size:
        raise SlrtError(f"{tag.name} has {len(info)} bytes, where this kernel's has {size}", at)
    return info


def _without(places: tuple[tuple[int, int], ...], info: bytes) -> bytes:
    """With zeroes in these places."""
    made = bytearray(info)
    for start, end in places:
        made[start:end] = bytes(end - start)
    return bytes(made)
