"""A folder of the host as a disk: what is in it, and nothing else."""

import os
import socket
from pathlib import Path

import pytest

from efi_services.ports import DiskError
from efi_services.volume import Volume
from shim.disks import folder as module
from shim.disks.folder import open_folder
from shim.errors import UnreadableError, UsageError


@pytest.fixture
def esp(tmp_path):
    """A folder beside a secret."""
    (tmp_path / "secret").write_text("secret")
    top = tmp_path / "esp"
    (top / "EFI" / "BOOT").mkdir(parents=True)
    (top / "EFI" / "BOOT" / "BOOTX64.EFI").write_bytes(b"MZ")
    (top / "initrd").write_bytes(bytes(range(256)) * 100)
    return top


def open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def opened(top):
    tree = open_folder(top)
    return tree, Volume(tree)


def names(tree, directory=None):
    return [each.name for each in tree.children(directory or tree.root)]


def test_files_and_folders(esp):
    tree, volume = opened(esp)
    assert names(tree) == ["EFI", "initrd"]
    file = volume.locate(volume.root, "efi\\boot\\bootx64.efi").node
    assert tree.read(file, 0, 100) == b"MZ"
    initrd = volume.locate(volume.root, "INITRD").node
    assert tree.read(initrd, 25_500, 1000) == bytes(range(156, 256))
    assert tree.read(initrd, 1 << 40, 10) == b""
    tree.close()


def test_what_is_no_file_is_left_out_and_named(esp, tmp_path):
    (esp / "link").symlink_to(tmp_path / "secret")
    (esp / "up").symlink_to("..")
    (esp / "inside").symlink_to("initrd")
    os.mkfifo(esp / "fifo")
    (esp / "Initrd").write_text("the same name")
    (esp / "a:b").write_text("no name")
    (esp / os.fsdecode(b"\xff")).write_text("no text")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(esp / "socket"))
        tree, _ = opened(esp)
    assert names(tree) == ["EFI", "Initrd"]
    assert tree.left_out == (
        "a:b: FAT can't have such a name",
        "fifo: neither file nor folder",
        "initrd: another one differs in upper and lower case only",
        "inside: a symbolic link",
        "link: a symbolic link",
        "socket: neither file nor folder",
        "up: a symbolic link",
        "?: its name is not UTF-8",
    )
    tree.close()


def test_a_file_that_is_exchanged_is_not_read(esp, tmp_path):
    tree, volume = opened(esp)
    file = volume.locate(volume.root, "initrd").node
    (esp / "initrd").unlink()
    (esp / "initrd").symlink_to(tmp_path / "secret")
    with pytest.raises(DiskError, match="initrd"):
        tree.read(file, 0, 6)
    (esp / "initrd").unlink()
    (esp / "initrd").write_bytes(bytes(25_600))
    with pytest.raises(DiskError, match="changed"):
        tree.read(file, 0, 6)
    tree.close()


def test_a_folder_on_the_way_that_becomes_a_link_is_not_followed(esp, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "BOOT").mkdir(parents=True)
    (elsewhere / "BOOT" / "BOOTX64.EFI").write_text("secret")
    tree, volume = opened(esp)
    file = volume.locate(volume.root, "EFI\\BOOT\\BOOTX64.EFI").node
    (esp / "EFI").rename(tmp_path / "gone")
    (esp / "EFI").symlink_to(elsewhere)
    with pytest.raises(DiskError):
        tree.read(file, 0, 6)
    tree.close()


def test_a_file_that_shrinks_while_it_is_open(esp):
    tree, volume = opened(esp)
    file = volume.locate(volume.root, "initrd").node
    assert tree.read(file, 0, 1) == b"\0"
    os.truncate(esp / "initrd", 10)
    with pytest.raises(DiskError, match="changed"):
        tree.read(file, 0, 6)
    tree.close()


def test_the_digest_is_of_names_and_contents_and_of_nothing_else(esp, tmp_path):
    def digest(top):
        tree = open_folder(top)
        tree.close()
        return tree.digest

    first = digest(esp)
    os.utime(esp / "initrd", (1, 1))
    moved = esp.rename(tmp_path / "other")
    assert digest(moved) == first
    (moved / "empty").mkdir()
    assert digest(moved) != first
    (moved / "empty").rmdir()
    (moved / "initrd").rename(moved / "initrd2")
    assert digest(moved) != first


def test_few_files_are_open_at_once(esp):
    for i in range(100):
        (esp / f"file{i:02}").write_text(str(i))
    tree, volume = opened(esp)
    before = open_files()
    for i in range(100):
        assert tree.read(volume.locate(volume.root, f"file{i:02}").node, 0, 9) == str(i).encode()
    assert open_files() <= before + 16
    tree.close()
    assert open_files() < before


def test_what_is_too_much_is_refused_and_leaves_nothing_open(esp, monkeypatch):
    before = open_files()
    monkeypatch.setattr(module, "MAX_BYTES", 10_000)
    with pytest.raises(UsageError, match="GiB"):
        open_folder(esp)
    monkeypatch.setattr(module, "MAX_BYTES", 1 << 30)
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    with pytest.raises(UsageError, match="more than 2 files"):
        open_folder(esp)
    monkeypatch.setattr(module, "MAX_ENTRIES", 100)
    monkeypatch.setattr(module, "MAX_DEPTH", 1)
    with pytest.raises(UsageError, match="in each other"):
        open_folder(esp)
    with pytest.raises(UnreadableError, match="No such file"):
        open_folder(esp / "nothing")
    assert open_files() == before
