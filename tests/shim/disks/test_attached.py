"""Disks as a platform has them, and as a run tells of them."""

import json
import subprocess

import pytest

from payloads.catalogue import program
from shim.config.disks import DiskSettings
from shim.config.platform import Platform
from shim.disks.attached import Attached, settings_of
from shim.errors import UsageError


def test_a_run_knows_a_disk_by_its_digest_and_not_by_its_path(tmp_path):
    (tmp_path / "file").write_text("content")
    attached = Attached(Platform(name="lab", disk=[settings_of(tmp_path)]))
    (known,) = attached.platform.disk
    assert (known.kind, known.path) == ("folder", None)
    assert str(tmp_path) not in attached.platform.toml
    attached.close()
    with pytest.raises(UsageError, match="--disk"):
        Attached(attached.platform)


def test_where_disks_are_attached(tmp_path):
    for machine, first in (("x86_64", "0312"), ("aarch64", "0101")):
        attached = Attached(Platform(name="lab", machine=machine, disk=[DiskSettings(folder=str(tmp_path))] * 8))
        paths = [each.path for each in attached.ports]
        assert len(set(paths)) == 8
        assert first in paths[0].hex()
        attached.close()


def test_too_many(tmp_path):
    with pytest.raises(UsageError, match="16 are the most"):
        Platform(name="lab").with_disks([settings_of(tmp_path)] * 17)


@pytest.mark.parametrize(
    "given", [{}, {"image": "a", "folder": "b"}, {"kind": "image"}, {"image": "a", "sha256": "0" * 64}]
)
def test_a_disk_is_one_thing(given):
    with pytest.raises(ValueError, match="give either image or folder"):
        DiskSettings(**given)


def test_an_images_blocks_may_be_large(tmp_path, need, command):
    """A volume of mkfs.fat's in sectors of 4096 bytes, from which a program is started."""
    need("mkfs.fat")
    need("mcopy")
    image = tmp_path / "disk.img"
    subprocess.run(["mkfs.fat", "-S", "4096", "-C", image, "2048"], check=True, capture_output=True)
    subprocess.run(["mcopy", "-i", image, program("program:hello"), "::hello.efi"], check=True, capture_output=True)
    (tmp_path / "lab.toml").write_text('name = "lab"\n[[disk]]\nimage = "disk.img"\nblock_size = 4096\n')
    done = command("run", "disk:/hello.efi", "--platform", "lab.toml", "--json", "--out", "run")
    assert (done.code, json.loads(done.out)["outcome"]["kind"]) == (0, "returned")
    done = command("replay", "run", "--disk", "disk.img")
    assert (done.code, done.err.count("differs")) == (0, 0)


def test_a_folder_has_blocks_of_one_size():
    with pytest.raises(ValueError, match="block_size is for an image"):
        DiskSettings(folder="esp", block_size=4096)
