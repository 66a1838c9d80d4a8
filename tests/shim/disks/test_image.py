"""Files of the host as disks."""

import os

import pytest

from efi_services.ports import DiskError
from shim.disks.image import DiskImage
from shim.errors import UnreadableError, UsageError


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(512) + b"a" * 512 + b"b" * 512 + b"rest")
    return path


def test_blocks(image):
    disk = DiskImage(image)
    assert disk.blocks == 3
    assert disk.read(1, 2) == b"a" * 512 + b"b" * 512
    with pytest.raises(DiskError, match="block 3 is behind its end"):
        disk.read(2, 2)
    disk.close()


def test_large_blocks(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(4096) + b"a" * 4096 + b"rest")
    disk = DiskImage(path, 4096)
    assert (disk.blocks, disk.block_size) == (2, 4096)
    assert disk.read(1, 1) == b"a" * 4096
    with pytest.raises(DiskError, match="block 2 is behind its end"):
        disk.read(1, 2)
    disk.close()


def test_an_image_that_changes_is_an_error(image):
    disk = DiskImage(image)
    os.utime(image, (1, 1))
    with pytest.raises(DiskError, match="changed"):
        disk.read(0, 1)
    disk.close()


def test_what_is_no_image(tmp_path):
    (tmp_path / "small").write_bytes(b"x")
    os.mkfifo(tmp_path / "fifo")
    for name, error in (("small", UsageError), ("fifo", UnreadableError), ("nothing", UnreadableError)):
        with pytest.raises(error):
            DiskImage(tmp_path / name)
    with pytest.raises(UnreadableError, match="regular"):
        DiskImage(tmp_path)


def test_the_digest_is_of_every_byte(image):
    first = DiskImage(image)
    image.write_bytes(image.read_bytes()[:-1])
    second = DiskImage(image)
    assert first.digest != second.digest
    first.close()
    second.close()
