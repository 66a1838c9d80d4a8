"""FAT volumes, to be read (UEFI 2.10, section 13.3, which refers to Microsoft's FAT specification).

Whatever the bytes say, work and memory are bounded by the size of the volume: a chain of clusters ends after as many
clusters as there are, and a directory has no more entries than the specification allows.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from efi_services.ports import DiskError, FileNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from efi_services.ports import BlockDevice

ENTRY_BYTES = 32
#: What a directory may have.
MAX_DIRECTORY = 65536 * ENTRY_BYTES
VOLUME_LABEL, DIRECTORY, LONG_NAME = 0x08, 0x10, 0x0F
_ATTRIBUTES = 0x27
_FREE, _LAST = 0xE5, 0x00
#: The allocation table is read in pieces of so many entries.
_PIECE = 1 << 14
_MOST_PIECES = 64
#: Files and directories whose chains are kept.
_MOST_CHAINS = 64


@dataclass(slots=True)
class _Chain:
    """The runs of clusters that a file lies in, as far as they were looked up.

    Of each it is known where it begins in the file, and where on the volume, both in clusters.
    """

    next: int
    clusters: int = 0
    starts: array[int] = field(default_factory=lambda: array("I"))
    firsts: array[int] = field(default_factory=lambda: array("I"))


class FatTree:
    """The `FileTree` port over a FAT12, FAT16 or FAT32 volume, which is *blocks* blocks of a device from *start* on."""

    def __init__(self, device: BlockDevice, start: int, blocks: int) -> None:
        """Read the boot sector; raises DiskError where the volume is none, or makes no sense."""
        self._device = device
        self._begin = start * device.block_size
        self._end = self._begin + blocks * device.block_size
        boot = self._bytes(0, 512) if self._end - self._begin >= 512 else b""
        if len(boot) < 512 or boot[510:512] != b"\x55\xaa" or boot[0] not in (0xEB, 0xE9):
            raise DiskError("no FAT volume")
        (sector, per_cluster, reserved, copies, roots, total16, _, fat16, _, _, _, total32) = struct.unpack_from(
            "<HBHBHHBHHHII", boot, 11
        )
        (fat32,) = struct.unpack_from("<I", boot, 36)
        total, fat = total16 or total32, fat16 or fat32
        if sector not in (512, 1024, 2048, 4096) or not per_cluster or per_cluster & (per_cluster - 1):
            raise DiskError("no FAT volume")
        root_sectors = -(-roots * ENTRY_BYTES // sector)
        data = reserved + copies * fat + root_sectors
        if not reserved or not copies or not fat or not data < total or total * sector > self._end - self._begin:
            raise DiskError("a FAT volume whose sizes contradict each other")
        self._clusters = (total - data) // per_cluster
        self._bits = 12 if self._clusters < 4085 else 16 if self._clusters < 65525 else 32
        if (self._clusters + 2) * self._bits > fat * sector * 8:
            raise DiskError("a FAT volume whose allocation table is too small")
        self.block_size: int = sector * per_cluster
        self.size = total * sector
        self._fat, self._data = reserved * sector, data * sector
        self._pieces: dict[int, tuple[int, ...]] = {}
        self._chains: dict[int, _Chain] = {}
        # Before FAT32, the root directory has a place of its own, and no clusters: it is known as cluster 0.
        self._fixed_root = (reserved + copies * fat) * sector, roots * ENTRY_BYTES
        root = int.from_bytes(boot[44:48], "little") & 0x0FFF_FFFF if self._bits == 32 else 0
        self.root = FileNode("", 0, root, directory=True)
        self._label = boot[71:82] if self._bits == 32 else boot[43:54]

    @property
    def label(self) -> str:
        """The label in the root directory, or else that of the boot sector."""
        with suppress(DiskError):
            for entry in self._entries(self.root):
                if entry[11] & (VOLUME_LABEL | DIRECTORY) == VOLUME_LABEL and entry[11] != LONG_NAME:
                    return _short(entry[:11].rstrip())
        return _short(self._label).rstrip().replace("NO NAME", "")

    def children(self, directory: FileNode) -> list[FileNode]:
        """What a directory holds, without `.`, `..` and the volume's label; raises DiskError."""
        found: list[FileNode] = []
        long: list[bytes] = []
        for entry in self._entries(directory):
            if entry[11] == LONG_NAME:
                if entry[0] & 0x40:
                    long.clear()
                long.append(entry)
                continue
            if not entry[11] & VOLUME_LABEL and entry[0] != ord("."):
                found.append(self._node(entry, long))
            long.clear()
        return found

    def read(self, file: FileNode, offset: int, size: int) -> bytes:
        """Bytes of a file, fewer at its end; raises DiskError."""
        size = max(min(size, file.size - offset), 0)
        return self._read(_cluster(file), offset, size) if size else b""

    def _node(self, entry: bytes, long: list[bytes]) -> FileNode:
        high, time, date, low, size = struct.unpack_from("<HHHHI", entry, 20)
        cluster = (high << 16 | low) if self._bits == 32 else low
        short = _short_name(entry)
        name = _long_name(entry, long) or short
        if entry[11] & DIRECTORY:
            return FileNode(name, 0, cluster, True, entry[11] & _ATTRIBUTES, short, _moment(date, time))
        return FileNode(name, size, cluster, False, entry[11] & _ATTRIBUTES, short, _moment(date, time))

    def _entries(self, directory: FileNode) -> Iterator[bytes]:
        """The entries in use of a directory."""
        cluster, offset = _cluster(directory), 0
        if cluster == 0 and self._bits != 32:
            at, size = self._fixed_root
            pieces: Iterator[bytes] = iter((self._bytes(at, size),))
        else:
            pieces = self._all(cluster)
        for piece in pieces:
            for offset in range(0, len(piece) - ENTRY_BYTES + 1, ENTRY_BYTES):
                first = piece[offset]
                if first == _LAST:
                    return
                if first != _FREE:
                    yield piece[offset : offset + ENTRY_BYTES]

    def _all(self, cluster: int) -> Iterator[bytes]:
        """All clusters of a directory, which has no size of its own."""
        chain = self._chain(cluster)
        at = 0
        while self._look_up(chain, at + self.block_size):
            if at >= MAX_DIRECTORY:
                raise DiskError(f"a directory of more than {MAX_DIRECTORY} bytes")
            yield self._read(cluster, at, self.block_size)
            at += self.block_size

    def _read(self, cluster: int, offset: int, size: int) -> bytes:
        chain, end = self._chain(cluster), offset + size
        if not self._look_up(chain, end):
            raise DiskError(f"a file of {end} bytes or more in a chain of {chain.clusters} clusters")
        parts: list[bytes] = []
        run = bisect_right(chain.starts, offset // self.block_size) - 1
        while offset < end:
            start = chain.starts[run]
            stop = chain.starts[run + 1] if run + 1 < len(chain.starts) else chain.clusters
            take = min(end, stop * self.block_size) - offset
            at = (chain.firsts[run] - 2) * self.block_size + offset - start * self.block_size
            parts.append(self._bytes(self._data + at, take))
            offset += take
            run += 1
        return b"".join(parts)

    def _chain(self, cluster: int) -> _Chain:
        chain = self._chains.get(cluster)
        if chain is None:
            if len(self._chains) >= _MOST_CHAINS:
                del self._chains[next(iter(self._chains))]
            chain = self._chains[cluster] = _Chain(cluster)
        return chain

    def _look_up(self, chain: _Chain, size: int) -> bool:
        """Follow a chain until it holds *size* bytes; False where it ends before that. Raises DiskError for a loop."""
        wanted, last = (size + self.block_size - 1) // self.block_size, self._clusters + 2
        cluster = chain.next
        while chain.clusters < wanted and 2 <= cluster < last:
            if chain.clusters > self._clusters:
                raise DiskError("a chain of clusters that comes back to itself")
            runs = len(chain.starts)
            if not runs or chain.firsts[-1] + chain.clusters - chain.starts[-1] != cluster:
                chain.starts.append(chain.clusters)
                chain.firsts.append(cluster)
            chain.clusters += 1
            cluster = self._following(cluster)
        chain.next = cluster
        return chain.clusters >= wanted

    def _following(self, cluster: int) -> int:
        """The entry of the allocation table."""
        number, index = divmod(cluster, _PIECE)
        piece = self._pieces.get(number)
        if piece is None:
            if len(self._pieces) >= _MOST_PIECES:
                del self._pieces[next(iter(self._pieces))]
            piece = self._pieces[number] = self._piece(number)
        return piece[index]

    def _piece(self, number: int) -> tuple[int, ...]:
        count = min(_PIECE, self._clusters + 2 - number * _PIECE)
        # An even number of 12-bit entries, so that they make whole bytes.
        data = self._bytes(self._fat + number * _PIECE * self._bits // 8, -(-count // 2) * 2 * self._bits // 8)
        if self._bits == 16:
            return struct.unpack_from(f"<{count}H", data)
        if self._bits == 32:
            return tuple(each & 0x0FFF_FFFF for each in struct.unpack_from(f"<{count}I", data))
        pairs = (int.from_bytes(data[i : i + 3], "little") for i in range(0, len(data), 3))
        return tuple(each for pair in pairs for each in (pair & 0xFFF, pair >> 12))

    def _bytes(self, at: int, size: int) -> bytes:
        """Bytes of the volume; raises DiskError outside of it."""
        at += self._begin
        if at + size > self._end:
            raise DiskError("a FAT volume refers to what lies behind its end")
        unit = self._device.block_size
        first, last = at // unit, -(-(at + size) // unit)
        return self._device.read(first, last - first)[at - first * unit :][:size]


def _cluster(node: FileNode) -> int:
    assert isinstance(node.place, int)
    return node.place


def _short(raw: bytes) -> str:
    return raw.decode("cp437")


def _short_name(entry: bytes) -> str:
    # 0x05 stands for 0xE5, which by itself says that an entry is free.
    raw = b"\xe5" + entry[1:11] if entry[0] == 0x05 else entry[:11]
    base, extension = _short(raw[:8]).rstrip(), _short(raw[8:]).rstrip()
    # Windows NT's way to say that a short name is in lower case.
    base = base.lower() if entry[12] & 0x08 else base
    extension = extension.lower() if entry[12] & 0x10 else extension
    return f"{base}.{extension}" if extension else base


def _long_name(entry: bytes, parts: list[bytes]) -> str:
    """The name that the entries before *entry* give; empty where they belong to another one."""
    checksum = short_checksum(entry[:11])
    numbers = [each[0] & 0x1F for each in parts]
    if not parts or numbers != list(range(len(parts), 0, -1)) or any(each[13] != checksum for each in parts):
        return ""
    raw = b"".join(each[1:11] + each[14:26] + each[28:32] for each in reversed(parts))
    return raw.decode("utf-16-le", "replace").partition("\0")[0].rstrip("\uffff")


def short_checksum(name: bytes) -> int:
    """What ties entries of a long name to the short one, 11 bytes."""
    total = 0
    for each in name:
        total = ((total & 1) << 7) + (total >> 1) + each & 0xFF
    return total


def _moment(date: int, time: int) -> datetime:
    try:
        day = 1980 + (date >> 9), date >> 5 & 15, date & 31
        return datetime(*day, time >> 11, time >> 5 & 63, (time & 31) * 2)  # noqa: DTZ001 - FAT knows no time zones
    except ValueError:
        return datetime(1980, 1, 1)  # noqa: DTZ001
