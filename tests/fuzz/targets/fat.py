"""FAT volumes: whatever the bytes say, walking through all of one takes no more than it has."""

import struct

from loading import borrow

from efi_services.extent import Extent
from efi_services.fat import FatTree
from efi_services.ports import DiskError
from efi_services.volume import Volume

ERRORS = (DiskError,)
MAX_LENGTH = 1 << 16
#: Files and directories that are looked at: a directory may hold itself.
_MOST_NODES, _MOST_BYTES = 200, 1 << 16
_Device = borrow("tests/efi_services/test_disks.py").Device


def seeds():
    small = _Device().data[5120 : 5120 + 50 * 512]
    return {"fat12": small, "fat16": _volume(4100, 17, 16), "fat32": _volume(66000, 516, 0)[: MAX_LENGTH // 2]}


def _volume(clusters, fat, roots):
    """The start of a volume with a directory, in which lie a file with a long name and the directory itself."""
    boot = bytearray(512)
    boot[:3] = b"\xeb\x3c\x90"
    total = 1 + fat + -(-roots * 32 // 512) + clusters
    struct.pack_into("<HBHBHHBHHHII", boot, 11, 512, 1, 1, 1, roots, 0, 0xF8, 0 if not roots else fat, 0, 0, 0, total)
    if not roots:
        struct.pack_into("<I4xI", boot, 36, fat, 2)
    boot[510:] = b"\x55\xaa"
    entry = 2 if roots else 4
    table = b"".join((0x0FFFFFFF & (1 << 8 * entry) - 1).to_bytes(entry, "little") for _ in range(5))
    name = b"\x41f\0i\0l\0e\0.\0\x0f\0\x7fe\0f\0i\0\0\0\xff\xff\0\0\xff\xff\xff\xff"
    file = struct.pack("<11sB8xH4xHI", b"FILE    EFI", 0x20, 0, 4, 300)
    folder = struct.pack("<11sB8xH4xHI", b"EFI        ", 0x10, 0, 3, 0)
    return b"".join(
        each.ljust(size, b"\0")
        for each, size in ((bytes(boot), 512), (table, fat * 512), (folder + name + file, 512), (folder + file, 512))
    )


class _Bytes:
    """A disk of bytes; what an image lacks at its end is zeroes, up to a FAT32 volume's size."""

    block_size, blocks = 512, 70000

    def __init__(self, data):
        self._data = data
        self.read_bytes = 0

    def read(self, block, count):
        self.read_bytes += count * 512
        return self._data[block * 512 : (block + count) * 512].ljust(count * 512, b"\0")


def target(data):
    device = _Bytes(data)
    tree = FatTree(device, 0, device.blocks)
    assert 0 < tree.size <= Extent("disk", device, 0, device.blocks).blocks * device.block_size
    str(tree.label)
    volume, waiting, seen = Volume(tree), [tree.root], 0
    for node in waiting:
        seen += 1
        if seen > _MOST_NODES:
            break
        if node.directory:
            try:
                waiting += tree.children(node)[:_MOST_NODES]
            except DiskError:
                continue
            if node is tree.root:
                for each in waiting[1:5]:
                    _look_up(volume, each.name)
        else:
            size = min(node.size, _MOST_BYTES)
            try:
                assert len(tree.read(node, 0, size)) == size
            except DiskError:
                continue


def _look_up(volume, name):
    from efi_services.status import EfiError

    try:
        volume.locate(volume.root, name)
    except EfiError:
        return
