"""Partition tables."""

import struct
import subprocess
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.partitions import GPT, MAX_LOGICAL, MBR, read_table
from efi_services.ports import DiskError


class Blocks:
    """Bytes as a device."""

    block_size = 512

    def __init__(self, data):
        self.data, self.blocks = data, len(data) // 512

    def read(self, block, count):
        if block + count > self.blocks:
            raise DiskError("behind the end")
        return bytes(self.data[block * 512 : (block + count) * 512])


def table_of(data):
    told = []
    return read_table(Blocks(data), lambda *finding: told.append(finding[1])), told


@pytest.fixture(scope="module")
def disk(need, tmp_path_factory):
    """A disk by sgdisk."""
    need("sgdisk")
    image = tmp_path_factory.mktemp("gpt") / "image"
    image.write_bytes(bytes(4 << 20))
    words = ["-n", "1:2048:4095", "-t", "1:ef00", "-c", "1:ESP", "-n", "3:4096:5000", "-t", "3:8300", "-u", "1:R"]
    subprocess.run(["sgdisk", *words, image], check=True, capture_output=True)
    return image.read_bytes()


def test_a_table_of_sgdisk(disk):
    table, told = table_of(disk)
    assert told == []
    assert [(each.number, each.start, each.blocks, each.scheme, each.system) for each in table.partitions] == [
        (1, 2048, 2048, GPT, True), (3, 4096, 905, GPT, False),
    ]  # fmt: skip
    assert table.header == disk[512:604]
    assert len(table.entries) == 128
    assert table.partitions[0].signature == table.entries[0][16:32]


def test_the_copy_counts_where_the_first_is_damaged(disk):
    whole, _ = table_of(disk)
    damaged = bytearray(disk)
    damaged[1024] ^= 1
    table, told = table_of(damaged)
    assert table.partitions == whole.partitions
    assert told == ["the partition table at block 1: its entries are damaged"]
    damaged[-512] ^= 1
    assert table_of(damaged)[0].partitions == ()


def signed(header):
    """A header with its checksum right."""
    header = header[:16] + bytes(4) + header[20:92]
    return header[:16] + struct.pack("<I", zlib.crc32(header)) + header[20:]


@pytest.mark.parametrize(
    ("at", "form", "value", "why"),
    [
        (80, "<I", 0xFFFF_FFFF, "4294967295 entries of 128 bytes"), (84, "<I", 64, "128 entries of 64 bytes"),
        (84, "<I", 192, "128 entries of 192 bytes"), (72, "<Q", 1 << 60, "behind the disk's end"),
        (80, "<I", 0, "0 entries"), (24, "<Q", 5, "damaged"), (12, "<I", 512, "damaged"),
    ],
)  # fmt: skip
def test_lies_of_a_header(disk, at, form, value, why):
    data = bytearray(disk[: len(disk) - 512] + bytes(512))
    struct.pack_into(form, data, 512 + at, value)
    data[512:604] = signed(bytes(data[512:604]))
    table, told = table_of(data)
    assert table.partitions == ()
    assert why in told[0]


@pytest.mark.parametrize(("first", "last"), [(0, 10), (4095, 4096), (3000, 5000), (5000, 4999), (2048, 1 << 63)])
def test_partitions_where_none_can_be(disk, first, last):
    data = bytearray(disk)
    struct.pack_into("<QQ", data, 1024 + 2 * 128 + 32, first, last)
    struct.pack_into("<I", data, 512 + 88, zlib.crc32(data[1024 : 1024 + 128 * 128]))
    data[512:604] = signed(bytes(data[512:604]))
    table, told = table_of(data)
    assert [each.number for each in table.partitions] == [1]
    assert "partition 3" in told[0]


def mbr(*records):
    table = b"".join(struct.pack("<B3sB3sII", 0, b"", kind, b"", start, size) for kind, start, size in records)
    return (bytes(440) + b"\x78\x56\x34\x12\0\0" + table.ljust(64, b"\0") + b"\x55\xaa").ljust(512 * 200, b"\0")


def test_an_mbr():
    table, told = table_of(mbr((0xEF, 10, 20), (0x83, 30, 100), (0x05, 130, 10)))
    assert told == []
    assert [(each.number, each.start, each.blocks, each.scheme, each.system) for each in table.partitions] == [
        (1, 10, 20, MBR, True), (2, 30, 100, MBR, False), (3, 130, 10, MBR, False),
    ]  # fmt: skip
    assert table.partitions[0].signature == b"\x78\x56\x34\x12".ljust(16, b"\0")
    assert table.header == b""


def chain(*links, blocks=200):
    """An MBR with an extended partition of 150 blocks from block 40 on; *links* are tables in it, by their places."""
    image = bytearray(mbr((0x83, 10, 20), (0x0F, 40, 150)).ljust(512 * blocks, b"\0"))
    for at, *records in links:
        table = b"".join(struct.pack("<B3sB3sII", 0, b"", kind, b"", start, size) for kind, start, size in records)
        image[(40 + at) * 512 : (41 + at) * 512] = bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa"
    return [each for each in table_of(image)[0].partitions if each.inside]


def test_logical_partitions():
    found = chain((0, (0xEF, 2, 20), (0x05, 30, 40)), (30, (0x83, 4, 30), (0x05, 80, 20)), (80, (0x0C, 1, 10)))
    assert [(each.number, each.start, each.blocks, each.system) for each in found] == [
        (1, 42, 20, True), (2, 74, 30, False), (3, 121, 10, False),
    ]  # fmt: skip
    assert {each.inside.number for each in found} == {2}
    # Their tables have no signature that would count.
    assert {each.signature for each in found} == {bytes(16)}


def test_logical_partitions_by_another_tool(need, tmp_path):
    need("sfdisk")
    image = tmp_path / "image"
    image.write_bytes(bytes(8 << 20))
    places = {1: (2048, 2048, "ef"), 2: (6144, 10240, "f"), 5: (8192, 1000, "83"), 6: (12288, 500, "ef")}
    lines = [f"{number}: start={at}, size={size}, type={kind}" for number, (at, size, kind) in places.items()]
    subprocess.run(
        ["sfdisk", "-q", image], input="\n".join(["label: dos", *lines]), text=True, check=True, capture_output=True
    )
    assert [(each.number, each.start, each.blocks) for each in table_of(image.read_bytes())[0].partitions] == [
        (1, 2048, 2048), (2, 6144, 10240), (1, 8192, 1000), (2, 12288, 500),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "second",
    [
        # Back to the first, to itself, into the partition before it, behind the end, to what is no table.
        (0x05, 0, 40), (0x05, 5, 40), (0x05, 15, 10), (0x05, 150, 40), (0x05, 100, 40),
    ],
)  # fmt: skip
def test_a_chain_of_logical_partitions_ends(second):
    assert [each.number for each in chain((0, (0x83, 2, 20), second))] == [1]


def test_what_lies_outside_of_the_extended_partition_is_no_part_of_it():
    assert chain((0, (0x83, 2, 149))) == []
    assert chain((0, (0x83, 0, 10))) == []
    assert chain((0, (0x83, 2, 0))) == []


def test_there_is_an_end_to_logical_partitions():
    links = [(2 * i, (0x83, 1, 1), (0x05, 2 * i + 2, 2)) for i in range(75)]
    assert len(chain(*links)) == MAX_LOGICAL


def test_what_is_no_mbr():
    assert table_of(mbr((0x0C, 10, 2000)))[0].partitions == ()
    assert table_of(bytes(512 * 10))[0].partitions == ()
    assert table_of(b"")[0].partitions == ()
    overlapping, _ = table_of(mbr((0x83, 10, 20), (0x83, 15, 20)))
    assert len(overlapping.partitions) == 1


@given(st.data())
def test_any_damage_is_told_and_no_more(disk, data):
    image = bytearray(disk)
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(440, 1600))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        image[512:604] = signed(bytes(image[512:604]))
    for each in table_of(image)[0].partitions:
        assert 0 < each.start <= each.start + each.blocks <= len(image) // 512
