"""A folder as a whole disk: a GPT with one EFI system partition, whose FAT32 volume holds the folder's files.

Nothing of it is written down anywhere. Tables and directories are worked out when the folder is opened; what files
hold is read from them when their blocks are asked for. Equal folders make equal disks, to the byte.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING

from efi_services.partitions import SYSTEM_PARTITION
from shim.disks.fat_names import entries_of, entry_of, short_names

if TYPE_CHECKING:
    from efi_services.ports import FileNode
    from shim.disks.folder import FolderTree

BLOCK = 512
#: Where the partition begins, as partitioning programs have it: at the first mebibyte.
FIRST = 2048
_RESERVED, _COPIES = 32, 2
#: Fewer clusters would be FAT16.
_LEAST_CLUSTERS = 66_000
_ENTRIES = 128
_END = 0x0FFF_FFF8


class VirtualDisk:
    """The `BlockDevice` port over a folder."""

    block_size = BLOCK

    def __init__(self, tree: FolderTree) -> None:
        """Lay the disk out."""
        self._tree = tree
        # As mkfs.fat chooses it, more or less: small clusters for small volumes.
        self._per_cluster = 8 if tree.size > 256 << 20 else 1
        self.cluster_bytes = self._per_cluster * BLOCK
        #: Where each file and directory begins, in clusters, ascending; and the file, or the directory's bytes.
        self._firsts: list[int] = []
        self._contents: list[FileNode | bytes] = []
        self._ends: list[int] = []
        self._next = 2
        clusters = self._lay_out()
        fat = -(-(clusters + 2) * 4 // BLOCK)
        self._clusters, self._fat_blocks = clusters, fat
        self._data = _RESERVED + _COPIES * fat
        self._volume = self._data + clusters * self._per_cluster
        self._partition = -(-self._volume // FIRST) * FIRST
        self.blocks = FIRST + self._partition + FIRST
        seed = tree.digest.encode()
        self._serial = hashlib.sha256(b"volume" + seed).digest()[:4]
        self._fixed = self._tables(seed) | self._boot_sectors()

    def read(self, block: int, count: int) -> bytes:
        """Whole blocks."""
        parts: list[bytes] = []
        end = block + count
        while block < end:
            part = self._some(block, end - block)
            parts.append(part)
            block += len(part) // BLOCK
        return b"".join(parts)

    def _some(self, block: int, most: int) -> bytes:
        """At least one block, and as many as lie together."""
        fixed = self._fixed.get(block)
        if fixed is not None:
            return fixed
        at = block - FIRST
        if at >= self._data and at < self._data + self._clusters * self._per_cluster:
            return self._of_clusters(at - self._data, most)
        if _RESERVED <= at < self._data:
            return self._of_table((at - _RESERVED) % self._fat_blocks)
        return bytes(BLOCK)

    def _of_clusters(self, at: int, most: int) -> bytes:
        """Blocks of the file or directory at block *at* of the data area."""
        cluster = at // self._per_cluster + 2
        index = bisect_right(self._firsts, cluster) - 1
        if cluster >= self._ends[index]:
            return bytes(BLOCK)
        offset = (at - (self._firsts[index] - 2) * self._per_cluster) * BLOCK
        room = (self._ends[index] - self._firsts[index]) * self.cluster_bytes - offset
        size = min(most * BLOCK, room)
        content = self._contents[index]
        data = content[offset : offset + size] if isinstance(content, bytes) else self._tree.read(content, offset, size)
        return data.ljust(size, b"\0")

    def _of_table(self, sector: int) -> bytes:
        """A block of the allocation table: everything lies in one piece, so each entry but the last is the next."""
        first = sector * (BLOCK // 4)
        entries = []
        for cluster in range(first, first + BLOCK // 4):
            index = bisect_right(self._firsts, cluster) - 1
            if cluster < 2:
                entries.append(_END if cluster == 0 else 0x0FFF_FFFF)
            elif index < 0 or cluster >= self._ends[index]:
                entries.append(0)
            else:
                entries.append(_END | 7 if cluster + 1 == self._ends[index] else cluster + 1)
        return struct.pack(f"<{BLOCK // 4}I", *entries)

    def _lay_out(self) -> int:
        """Give every file and directory its clusters; gives how many clusters the volume has."""
        tree = self._tree
        directories = [tree.root]
        for each in directories:
            directories += [child for child in tree.children(each) if child.directory]
        shorts = {each.place: short_names(tree.children(each)) for each in directories}
        place: dict[object, int] = {}
        for each in directories:
            children = tree.children(each)
            slots = sum(
                entries_of(child.name, short) for child, short in zip(children, shorts[each.place], strict=True)
            )
            # The root has its label, and the others themselves and what is above.
            slots += 1 if each is tree.root else 2
            place[each.place] = self._take(slots * 32 + 32)
            self._contents.append(b"")
        for each in directories:
            for child in tree.children(each):
                if not child.directory:
                    place[child.place] = self._take(child.size) if child.size else 0
                    self._contents += [child] if child.size else []
        for index, each in enumerate(directories):
            self._contents[index] = self._listing(each, shorts[each.place], place)
        return max(self._next - 2, _LEAST_CLUSTERS)

    def _take(self, size: int) -> int:
        first = self._next
        self._next += -(-size // self.cluster_bytes)
        self._firsts.append(first)
        self._ends.append(self._next)
        return first

    def _listing(self, directory: FileNode, shorts: list[bytes], place: dict[object, int]) -> bytes:
        """A directory's bytes."""
        parts = directory.place
        assert isinstance(parts, tuple)
        if not parts:
            made = [entry_of(self._tree.label.encode().ljust(11), 0x08, 0, 0)]
        else:
            above = place[parts[:-1]] if len(parts) > 1 else 0
            made = [entry_of(b".".ljust(11), 0x10, place[parts], 0), entry_of(b"..".ljust(11), 0x10, above, 0)]
        for child, short in zip(self._tree.children(directory), shorts, strict=True):
            made.append(entry_of(short, 0x10 if child.directory else 0x20, place[child.place], child.size, child.name))
        return b"".join(made)

    def _boot_sectors(self) -> dict[int, bytes]:
        boot = b"\xeb\x58\x90EFI-SHIM" + struct.pack(
            "<HBHBHHBHHHIIIHHIHH12x",
            BLOCK, self._per_cluster, _RESERVED, _COPIES, 0, 0, 0xF8, 0, 32, 64, FIRST, self._volume,
            self._fat_blocks, 0, 0, 2, 1, 6,
        )  # fmt: skip
        boot += b"\x80\0\x29" + self._serial + self._tree.label.encode().ljust(11) + b"FAT32   "
        boot = boot.ljust(510, b"\0") + b"\x55\xaa"
        info = b"RRaA" + bytes(480) + b"rrAa" + struct.pack("<II12xI", 0xFFFF_FFFF, 0xFFFF_FFFF, 0xAA55_0000)
        return {FIRST: boot, FIRST + 1: info, FIRST + 6: boot, FIRST + 7: info}

    def _tables(self, seed: bytes) -> dict[int, bytes]:
        last = self.blocks - 1
        disk, partition = (
            uuid.UUID(bytes=hashlib.sha256(each + seed).digest()[:16], version=4) for each in (b"d", b"p")
        )
        entry = SYSTEM_PARTITION.bytes_le + partition.bytes_le
        entry += struct.pack("<QQQ", FIRST, FIRST + self._partition - 1, 0) + "EFI".encode("utf-16-le").ljust(72, b"\0")
        entries = entry.ljust(128 * _ENTRIES, b"\0")
        record = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(last, 0xFFFF_FFFF))
        found = {0: bytes(446) + record + bytes(48) + b"\x55\xaa"}
        for at, other, where in ((1, last, 2), (last, 1, last - 32)):
            head = b"EFI PART" + struct.pack("<IIIIQQQQ", 0x10000, 92, 0, 0, at, other, 34, last - 33)
            head += disk.bytes_le + struct.pack("<QIII", where, _ENTRIES, 128, zlib.crc32(entries))
            head = head[:16] + struct.pack("<I", zlib.crc32(head)) + head[20:]
            found[at] = head.ljust(BLOCK, b"\0")
            found |= {where + i: entries[i * BLOCK : (i + 1) * BLOCK] for i in range(32)}
        return found
