import hashlib
import json

import pytest

from shim.errors import DiffersError, UnreadableError
from shim.kexec.segments import Loaded, digest, load, memory_size, save

PARTS = (("kernel", b"k" * 5000), ("initrd", b"i" * 4096), ("command line", b"quiet"))


def loaded() -> Loaded:
    return Loaded("a kernel", PARTS, digest(PARTS), b"list", {"sha1": "00"}, "run")


def test_the_digest_is_over_what_lies_in_memory():
    """Purgatory hashes each segment with the zeroes behind it (kexec_calculate_store_digests)."""
    whole = b"k" * 5000 + bytes(8192 - 5000) + b"i" * 4096 + b"quiet" + bytes(4091)
    assert digest(PARTS) == hashlib.sha256(whole).hexdigest()
    assert [memory_size(data) for _, data in PARTS] == [8192, 4096, 4096]
    assert memory_size(b"") == 0


def test_what_is_kept_is_read(tmp_path):
    save(tmp_path, loaded())
    assert load(tmp_path) == loaded()
    assert load(tmp_path).intact


@pytest.mark.parametrize("name", ["kernel", "initrd", "command line"])
def test_a_byte_that_changed_is_seen(tmp_path, name):
    save(tmp_path, loaded())
    path = tmp_path / "kexec" / name
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert not load(tmp_path).intact


def test_another_size_is_seen_even_if_only_zeroes_came(tmp_path):
    save(tmp_path, loaded())
    path = tmp_path / "kexec" / "command line"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DiffersError, match="6 bytes, and had 5: fall back to a regular reboot"):
        load(tmp_path)


def test_nothing_is_loaded(tmp_path):
    with pytest.raises(UnreadableError, match="nothing is loaded there"):
        load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "efi-shim/kexec/9"},
        {"segments": []},
        {"segments": [{"name": "../../etc/passwd", "size": 1}]},
        {"segments": [{"name": "kernel", "size": 5000}, {"name": "kernel", "size": 5000}]},
        {"segments": [{"name": "initrd", "size": 4096}, {"name": "kernel", "size": 5000}]},
        {"segments": 1},
        {"pcr_10": []},
        {"sha256": None, "name": None},
    ],
)
def test_a_description_that_makes_no_sense(tmp_path, change):
    save(tmp_path, loaded())
    path = tmp_path / "kexec" / "kexec.json"
    about = json.loads(path.read_text()) | change
    path.write_text(json.dumps({key: value for key, value in about.items() if value is not None}))
    with pytest.raises(UnreadableError):
        load(tmp_path)
    path.write_text("[" * 100_000)
    with pytest.raises(UnreadableError, match="damaged"):
        load(tmp_path)


def test_a_segment_that_is_gone(tmp_path):
    save(tmp_path, loaded())
    (tmp_path / "kexec" / "initrd").unlink()
    with pytest.raises(UnreadableError, match="initrd"):
        load(tmp_path)
