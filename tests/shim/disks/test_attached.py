"""Disks as a platform has them, and as a run tells of them."""

import pytest

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
