"""A folder as a disk, as others see it."""

import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efi_services.fat import FatTree
from efi_services.partitions import read_table
from efi_services.volume import Volume, folded, is_name
from shim.disks.fat_names import short_names
from shim.disks.folder import FileNode, open_folder
from shim.disks.virtual import VirtualDisk

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


@pytest.fixture
def folder(tmp_path):
    top = tmp_path / "esp"
    (top / "EFI" / "BOOT").mkdir(parents=True)
    (top / "EFI" / "Linux with a long name").mkdir()
    (top / "EFI" / "BOOT" / "BOOTX64.EFI").write_bytes(bytes(range(256)) * 100)
    (top / "EFI" / "BOOT" / "grub.cfg").write_text("menu")
    (top / "späce 日本.bin").write_bytes(b"x" * 1025)
    for name in ("empty", ".hidden", "a.b.c", "UPPER.TXT", "UPPERC~1.TXT", "upper case.txt", "no+short"):
        (top / name).write_bytes(b"" if name == "empty" else name.encode())
    return top


def mounted(disk):
    (partition,) = read_table(disk, pytest.fail).partitions
    tree = FatTree(disk, partition.start, partition.blocks)
    return tree, Volume(tree), partition


def written(disk, path, start=0, count=None):
    with path.open("wb") as file:
        for block in range(start, start + (count or disk.blocks), 4096):
            file.write(disk.read(block, min(4096, start + (count or disk.blocks) - block)))
    return path


def test_what_is_read_is_what_is_in_the_folder(folder):
    files = open_folder(folder)
    tree, volume, _ = mounted(VirtualDisk(files))
    assert tree.label == "EFI-SHIM"
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder)).replace("/", "\\")
        node = volume.locate(volume.root, name).node
        assert node.name == path.name
        assert node.directory == path.is_dir()
        if not node.directory:
            assert tree.read(node, 0, 1 << 20) == path.read_bytes()
    files.close()


def test_others_find_no_fault_with_it(folder, need, tmp_path):
    need("fsck.fat")
    need("sgdisk")
    need("mcopy")
    files = open_folder(folder)
    disk = VirtualDisk(files)
    _, _, partition = mounted(disk)
    whole = written(disk, tmp_path / "disk")
    volume = written(disk, tmp_path / "volume", partition.start, partition.blocks)
    files.close()

    def run(*words):
        return subprocess.run(words, check=True, capture_output=True, text=True, env=ENVIRONMENT).stdout

    assert "No problems found" in run("sgdisk", "-v", whole)
    run("fsck.fat", "-n", volume)
    run("mcopy", "-s", "-i", volume, "::*", tmp_path)
    for path in folder.rglob("*"):
        if path.is_file():
            assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_equal_folders_make_equal_disks(folder, tmp_path):
    digests = []
    for _ in range(2):
        files = open_folder(folder)
        disk = VirtualDisk(files)
        digests.append(disk.read(0, disk.blocks))
        files.close()
        folder = folder.rename(tmp_path / "moved")
        (folder / "UPPER.TXT").touch()
    assert digests[0] == digests[1]


def test_short_names_differ():
    names = [f"a long name {number}.conf" for number in range(1200)] + ["ALONGN~1.CON", "日本", "日", "...x"]
    shorts = short_names([FileNode(name, 0, name) for name in names])
    assert len(set(shorts)) == len(names)
    assert all(len(each) == 11 for each in shorts)
    assert shorts[1200] == b"ALONGN~1CON"


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=30).filter(is_name), max_size=40, unique_by=folded))
def test_any_names(tmp_path_factory, names):
    top = tmp_path_factory.mktemp("names")
    try:
        for name in names:
            (top / name).write_text(name)
    except (OSError, UnicodeEncodeError):
        return
    files = open_folder(top)
    tree, *_ = mounted(VirtualDisk(files))
    assert {each.name for each in tree.children(tree.root)} == {each.name for each in files.children(files.root)}
    for node in tree.children(tree.root):
        assert tree.read(node, 0, 1000).decode() == node.name
    files.close()


def test_ten_thousand_files(tmp_path):
    top = tmp_path / "many"
    top.mkdir()
    for number in range(10_000):
        (top / f"file number {number}.conf").touch()
    files = open_folder(top)
    tree, _, _ = mounted(VirtualDisk(files))
    began = time.process_time()
    assert len(tree.children(tree.root)) == 10_000
    assert time.process_time() - began < 2
    files.close()
