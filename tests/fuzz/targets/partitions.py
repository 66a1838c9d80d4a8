"""Partition tables: partitions lie on their disk and don't overlap, whatever a GPT or an MBR says."""

import struct
import zlib
from itertools import combinations

from loading import borrow

from efi_services.partitions import GPT, read_table
from efi_services.ports import DiskError

ERRORS = ()
MAX_LENGTH = 512 * 40


class _Blocks:
    block_size = 512

    def __init__(self, data):
        self._data, self.blocks = data, len(data) // 512

    def read(self, block, count):
        if block + count > self.blocks:
            raise DiskError("behind the end")
        return self._data[block * 512 : (block + count) * 512]


def seeds():
    make = borrow("tests/efi_services/test_partitions.py")
    entry = struct.pack("<16s16sQQQ72s", b"\x28\x73\x2a\xc1" + bytes(12), b"partition's guid", 10, 20, 0, b"E\0")
    table = (entry + entry.replace(struct.pack("<QQ", 10, 20), struct.pack("<QQ", 21, 30))).ljust(512, b"\0")
    head = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, 1, 39, 3, 38, b"disk's guid", 2, 4, 128, 0)
    head = head[:88] + struct.pack("<I", zlib.crc32(table))
    head = head[:16] + struct.pack("<I", zlib.crc32(head)) + head[20:]
    gpt = make.mbr((0xEE, 1, 39))[:512] + head.ljust(512, b"\0") + table
    links = make.mbr((0x83, 2, 4), (0x05, 6, 10))[:512], make.mbr((0x83, 2, 4))[:512]
    outer = make.mbr((0xEF, 1, 4), (0x0F, 8, 20))[:512]
    return {
        "gpt": gpt.ljust(512 * 40, b"\0"),
        "mbr": make.mbr((0xEF, 10, 20), (0x83, 30, 8))[: 512 * 40],
        "logical": (outer.ljust(8 * 512, b"\0") + links[0].ljust(6 * 512, b"\0") + links[1]).ljust(512 * 40, b"\0"),
    }


def target(data):
    # Damage that a checksum finds leads nowhere: have it right, where there is a header.
    disk = bytearray(data)
    if disk[512:520] == b"EFI PART" and len(disk) >= 1024:
        count, size = struct.unpack_from("<II", disk, 512 + 80)
        struct.pack_into("<I", disk, 512 + 88, zlib.crc32(disk[1024 : 1024 + min(count * size, len(disk))]))
        struct.pack_into("<I", disk, 512 + 16, 0)
        struct.pack_into("<I", disk, 512 + 16, zlib.crc32(disk[512 : 512 + 92]))
    device = _Blocks(bytes(disk))
    told = []
    table = read_table(device, lambda kind, text: told.append((kind, text)))
    assert all(kind == "disk-damaged" and text.isprintable() for kind, text in told)
    for each in table.partitions:
        assert 0 < each.start < each.start + each.blocks <= device.blocks
        if each.inside is not None:
            outer = each.inside
            assert outer.start < each.start
            assert each.start + each.blocks <= outer.start + outer.blocks
    for one, other in combinations((each for each in table.partitions if each.inside is None), 2):
        assert one.start + one.blocks <= other.start or other.start + other.blocks <= one.start
    assert bool(table.header) == (table.partitions != () and table.partitions[0].scheme == GPT) or not table.partitions
