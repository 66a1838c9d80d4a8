"""FAT volumes that others made, and damaged ones."""

import struct
import subprocess
import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.fat import FatTree
from efi_services.ports import DiskError, FileNode
from efi_services.volume import Volume

#: mkfs.fat's own choice of cluster size for each: KiB of the volume, sectors in a cluster.
VOLUMES = {12: (1440, 1), 16: (16 * 1024, 1), 32: (40 * 1024, 1)}
NAMES = ["a", "UPPER.TXT", "Mixed case and long.efi", "späces und ümläute", "x.y.z", "lower.txt"]


class Blocks:
    """Bytes as a device."""

    block_size = 512

    def __init__(self, data):
        self.data = data
        self.blocks = len(data) // 512
        self.most = 0

    def read(self, block, count):
        if block + count > self.blocks:
            raise DiskError("behind the end")
        self.most = max(self.most, count)
        return bytes(self.data[block * 512 : (block + count) * 512])


def tree_of(data):
    device = Blocks(data)
    return FatTree(device, 0, device.blocks)


@pytest.fixture(scope="session", params=VOLUMES)
def made(request, need, tmp_path_factory):
    """A volume by mkfs.fat and mtools, with fragmented files."""
    need("mkfs.fat")
    need("mcopy")
    folder = tmp_path_factory.mktemp("fat")
    size, cluster = VOLUMES[request.param]
    image = folder / "image"
    options = ["-F", str(request.param), "-s", str(cluster), "-n", "LABEL", "-i", "12345678"]
    subprocess.run(["mkfs.fat", *options, "-C", image, str(size)], check=True, capture_output=True)
    content = {}

    def mtools(*words):
        subprocess.run([*words], check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})

    def put(path, data):
        file = folder / "file"
        file.write_bytes(data)
        mtools("mcopy", "-i", image, "-o", file, f"::{path}")
        content[path] = data

    for number, name in enumerate(NAMES):
        put(name, name.encode() * (1 + 400 * number))
    mtools("mmd", "-i", image, "::EFI", "::EFI/BOOT", "::many")
    for number in range(40):
        put(f"many/file number {number:03}", b"%d" % number * 100)
    # Holes, so that what comes next lies in pieces, the first of them behind the others.
    for number in range(0, 40, 2):
        mtools("mdel", "-i", image, f"::many/file number {number:03}")
        del content[f"many/file number {number:03}"]
    put("EFI/BOOT/BOOTX64.EFI", bytes(range(256)) * 200)
    put("empty", b"")
    return request.param, image.read_bytes(), content


def test_volumes_of_mkfs_fat(made):
    bits, data, content = made
    tree = tree_of(data)
    volume = Volume(tree)
    assert (tree.label, tree.block_size) == ("LABEL", 512)
    for path, expected in content.items():
        node = volume.locate(volume.root, path.replace("/", "\\")).node
        assert (node.name, node.size) == (path.rpartition("/")[2], len(expected))
        assert tree.read(node, 0, 1 << 20) == expected
        assert tree.read(node, 1000, 700) == expected[1000:1700]
    names = [each.name for each in tree.children(tree.root)]
    assert names == [*NAMES, "EFI", "many", "empty"]
    assert len(tree.children(volume.locate(volume.root, "many").node)) == 20
    assert bits in (12, 16, 32)


def test_what_an_entry_tells(made):
    _, data, _ = made
    volume = Volume(tree_of(data))
    node = volume.locate(volume.root, "MIXEDC~1.EFI").node
    assert node.name == "Mixed case and long.efi"
    assert not node.directory
    assert node.attributes == 0x20
    assert datetime(2020, 1, 1) < node.modified  # noqa: DTZ001 - FAT knows no time zones
    assert volume.locate(volume.root, "EFI").node.directory


def small_volume(chain=(), root=b"", sectors=100, spc=1):
    """A FAT12 volume of 512-byte sectors: one sector of FAT, one of root directory."""
    boot = bytearray(512)
    boot[:3] = b"\xeb\x3c\x90"
    struct.pack_into("<HBHBHHBH", boot, 11, 512, spc, 1, 1, 16, sectors, 0xF8, 1)
    boot[510:] = b"\x55\xaa"
    entries = [0xFF8, 0xFFF, *chain]
    entries += [0] * (340 - len(entries))
    fat = b"".join((a | b << 12).to_bytes(3, "little") for a, b in zip(entries[::2], entries[1::2], strict=True))
    return (
        bytes(boot)
        + fat.ljust(512, b"\0")
        + root.ljust(512, b"\0")
        + b"".join(bytes([i % 255 + 1]) * 512 for i in range(sectors - 3))
    )


def entry(name=b"FILE       ", attributes=0, cluster=2, size=0):
    return struct.pack("<11sB8xH4xHI", name, attributes, 0, cluster, size)


def test_a_file_in_pieces_backwards():
    # Clusters 5, 4, 9, 10: neither order nor neighbourhood is to be taken for granted.
    tree = tree_of(small_volume((0, 0, 9, 4, 0, 0, 0, 10, 0xFFF), entry(cluster=5, size=2000)))
    (file,) = tree.children(tree.root)
    assert tree.read(file, 0, 2000) == b"\4" * 512 + b"\3" * 512 + b"\x08" * 512 + b"\x09" * 464
    assert tree.read(file, 600, 10) == b"\3" * 10


@pytest.mark.parametrize("chain", [(2,), (3, 4, 2), (3, 3)])
def test_a_chain_that_comes_back_to_itself(chain):
    tree = tree_of(small_volume(chain, entry(size=0xFFFF_FFFF) + entry(b"DIR        ", 0x10)))
    file, directory = tree.children(tree.root)
    for act in (lambda: tree.read(file, 0xFFFF_0000, 512), lambda: tree.children(directory)):
        with pytest.raises(DiskError, match="comes back to itself"):
            act()


@pytest.mark.parametrize("chain", [(0,), (0xFF7,), (0x7FF,), (1,)])
def test_a_chain_that_ends_too_early(chain):
    tree = tree_of(small_volume(chain, entry(size=2000)))
    (file,) = tree.children(tree.root)
    with pytest.raises(DiskError, match="in a chain of 1 clusters"):
        tree.read(file, 0, 2000)


def test_a_directory_that_is_its_own_child_costs_little():
    data = small_volume((0xFFF,), entry(b"LOOP       ", 0x10))
    data = data[:1536] + entry(b"LOOP       ", 0x10) + data[1568:]
    volume = Volume(tree_of(data))
    place = volume.locate(volume.root, "LOOP\\" * 51)
    assert len(place.parents) == 51


def test_names_that_do_not_belong_to_their_entry():
    long = struct.pack("<B10sBBB12sH4s", 0x41, "wrong".encode("utf-16-le"), 0x0F, 0, 0, b"\xff" * 12, 0, b"\xff" * 4)
    tree = tree_of(small_volume((0xFFF,), long + entry(b"RIGHT   TXT")))
    assert [each.name for each in tree.children(tree.root)] == ["RIGHT.TXT"]


def test_names_in_lower_case_by_windows_nt():
    raw = bytearray(entry(b"LOWER   TXT"))
    raw[12] = 0x18
    tree = tree_of(small_volume((0xFFF,), bytes(raw) + entry(b"\x05TRANGE    ")))
    assert [each.name for each in tree.children(tree.root)] == ["lower.txt", "σTRANGE"]


@pytest.mark.parametrize(
    ("at", "size", "value"),
    [
        (510, 2, 0), (0, 1, 0), (11, 2, 0), (11, 2, 513), (13, 1, 0), (13, 1, 3), (14, 2, 0), (16, 1, 0), (19, 2, 3),
        (19, 2, 0), (19, 2, 200), (22, 2, 0), (22, 2, 99), (17, 2, 0xFFFF),
    ],
)  # fmt: skip
def test_boot_sectors_that_make_no_sense(at, size, value):
    data = bytearray(small_volume())
    data[at : at + size] = value.to_bytes(size, "little")
    with pytest.raises(DiskError, match="FAT volume"):
        tree_of(bytes(data))


def walk(tree, node, depth=0):
    """Everything that can be found, within reason."""
    for each in tree.children(node):
        assert isinstance(each, FileNode)
        if each.directory:
            if depth < 4:
                walk(tree, each, depth + 1)
        else:
            tree.read(each, 0, 4096)
            tree.read(each, max(each.size - 10, 0), 10)


@given(st.data())
def test_any_damage_is_an_error_and_no_more(data):
    image = bytearray(
        small_volume((3, 4, 0xFFF, 6, 0xFFF), entry(size=1400) + entry(b"DIR        ", 0x10, 5) + entry(b"B", 0, 7, 1))
    )
    for _ in range(data.draw(st.integers(1, 12))):
        where = data.draw(
            st.one_of(st.integers(0, 63), st.integers(512, 560), st.integers(1024, 1200), st.integers(2560, 3000))
        )
        image[where] = data.draw(st.integers(0, 255))
    began = time.process_time()
    try:
        tree = tree_of(bytes(image))
        tree.label  # noqa: B018
        walk(tree, tree.root)
    except DiskError:
        pass
    assert time.process_time() - began < 2


@given(st.binary(max_size=2048))
def test_bytes_of_any_kind(data):
    try:
        tree = tree_of(b"\xeb" + data[1:510].ljust(509, b"\0") + b"\x55\xaa" + data[512:])
        walk(tree, tree.root)
    except DiskError:
        pass
