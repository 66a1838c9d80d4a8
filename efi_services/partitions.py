"""Partition tables: GPT (UEFI 2.10, section 5.3), and the MBR of old (section 5.2)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.ports import DiskError
from efi_services.types import Guid

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.ports import BlockDevice

#: The type of an EFI system partition.
SYSTEM_PARTITION = Guid("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
_SIGNATURE = b"EFI PART"
HEADER_BYTES, ENTRY_BYTES = 92, 128
#: A table larger than this is none; the usual one has 16 KiB.
MAX_TABLE = 1 << 20
_PROTECTIVE, _SYSTEM = 0xEE, 0xEF
_EXTENDED = {0x05, 0x0F}
GPT, MBR = 2, 1
#: Logical partitions of an extended one: each is found by the one before it, and that might go on for ever.
MAX_LOGICAL = 64


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: its number from 1, its blocks, and its entry in the table. *scheme* is `GPT` or `MBR`.

    *signature* is what a device path knows it by: the partition's GUID, or the disk's 32-bit signature. A logical
    partition lies in an extended one, *inside*, and has a number there.
    """

    number: int
    start: int
    blocks: int
    scheme: int
    signature: bytes
    entry: bytes
    system: bool
    inside: Partition | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """What a disk is divided into. *header* and *entries* are those of a GPT, as they lie on the disk."""

    partitions: tuple[Partition, ...] = ()
    header: bytes = b""
    entries: tuple[bytes, ...] = ()


def read_table(device: BlockDevice, finding: Callable[[str, str], None]) -> Table:
    """The partitions of a disk; none where it has no table. What is wrong with one is told as a finding."""
    try:
        first = device.read(0, 1) if device.blocks > 1 else b""
        if len(first) < 512 or first[510:512] != b"\x55\xaa":
            return Table()
        records = [first[446 + 16 * i : 462 + 16 * i] for i in range(4)]
        if any(each[4] == _PROTECTIVE for each in records):
            return _gpt(device, finding)
        return Table(tuple(_mbr(device, first[440:444], records)))
    except DiskError as why:
        finding("disk-damaged", str(why))
        return Table()


def _gpt(device: BlockDevice, finding: Callable[[str, str], None]) -> Table:
    """The table at the disk's start, or else the one at its end."""
    for at in (1, device.blocks - 1):
        header = device.read(at, 1)[:HEADER_BYTES]
        why, table = _entries(device, header, at)
        if not why:
            entries = tuple(table[i : i + ENTRY_BYTES] for i in range(0, len(table), _entry_size(header)))
            return Table(tuple(_partitions(device, header, entries, finding)), header, entries)
        finding("disk-damaged", f"the partition table at block {at}: {why}")
    return Table()


def _entry_size(header: bytes) -> int:
    return int.from_bytes(header[84:88], "little")


def _entries(device: BlockDevice, header: bytes, at: int) -> tuple[str, bytes]:
    """What is wrong with a GPT, and its entries where nothing is."""
    if not header.startswith(_SIGNATURE):
        return "it has no signature", b""
    size, crc, _, mine = struct.unpack_from("<IIIQ", header, 12)
    if size != HEADER_BYTES or crc != zlib.crc32(header[:16] + bytes(4) + header[20:]) or mine != at:
        return "its header is damaged", b""
    where, count, entry, entries_crc = struct.unpack_from("<QIII", header, 72)
    if entry < ENTRY_BYTES or entry & (entry - 1) or not 0 < count * entry <= MAX_TABLE:
        return f"{count} entries of {entry} bytes", b""
    blocks = -(-count * entry // device.block_size)
    if where + blocks > device.blocks:
        return "its entries lie behind the disk's end", b""
    table = device.read(where, blocks)[: count * entry]
    if zlib.crc32(table) != entries_crc:
        return "its entries are damaged", b""
    return "", table


def _partitions(
    device: BlockDevice, header: bytes, entries: tuple[bytes, ...], finding: Callable[[str, str], None]
) -> list[Partition]:
    first, last = struct.unpack_from("<QQ", header, 40)
    # An image that was cut off has a table for a larger disk.
    first, last = max(first, 1), min(last, device.blocks - 1)
    found: list[Partition] = []
    for number, entry in enumerate(entries, 1):
        if not any(entry[:16]):
            continue
        start, end = struct.unpack_from("<QQ", entry, 32)
        overlaps = any(start < each.start + each.blocks and each.start <= end for each in found)
        if not first <= start <= end <= last or overlaps:
            finding("disk-damaged", f"partition {number} goes from block {start} to {end}, where it can't lie")
            continue
        system = Guid(bytes_le=entry[:16]) == SYSTEM_PARTITION
        found.append(Partition(number, start, end - start + 1, GPT, entry[16:32], entry, system))
    return found


def _mbr(device: BlockDevice, signature: bytes, records: list[bytes]) -> list[Partition]:
    found: list[Partition] = []
    for number, record in enumerate(records, 1):
        kind, start, blocks = record[4], *struct.unpack_from("<II", record, 8)
        overlaps = any(start < each.start + each.blocks and each.start < start + blocks for each in found)
        if kind == 0 or not start or not blocks or record[0] & 0x7F or overlaps:
            continue
        # A file system's first block may end with the same two bytes: then this is no table.
        if start + blocks > device.blocks:
            return []
        found.append(Partition(number, start, blocks, MBR, signature.ljust(16, b"\0"), record, kind == _SYSTEM))
    logical = [one for each in found if each.entry[4] in _EXTENDED for one in _logical(device, each)]
    return found + logical


def _logical(device: BlockDevice, outer: Partition) -> list[Partition]:
    """The chain of logical partitions in an extended one, as far as it makes sense.

    Each link is a table of its own: a partition, which begins behind the table, and where in the extended one the
    next table is.
    """
    found: list[Partition] = []
    at = 0
    while at < outer.blocks and len(found) < MAX_LOGICAL:
        table = device.read(outer.start + at, 1)
        here, following = table[446:462], table[462:478]
        if table[510:512] != b"\x55\xaa":
            break
        offset, blocks = struct.unpack_from("<II", here, 8)
        start = outer.start + at + offset
        if not here[4] or not offset or not blocks or start + blocks > outer.start + outer.blocks:
            break
        system = here[4] == _SYSTEM
        found.append(Partition(len(found) + 1, start, blocks, MBR, bytes(16), here, system, outer))
        behind = int.from_bytes(following[8:12], "little")
        # A chain only goes forward: one that doesn't would come back to itself.
        if following[4] not in _EXTENDED or behind < at + offset + blocks:
            break
        at = behind
    return found
