"""Pieces with their digests, in a file."""

import hashlib

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.piece import piece
from shim.errors import UnreadableError
from shim.measure import pieces


def test_they_come_back_as_they_were(tmp_path):
    made = [piece("boot_params", b"abc", 0x1000), piece("", b"")]
    pieces.save(tmp_path / "p.json", made)
    assert pieces.load(tmp_path / "p.json") == made
    assert made[0].digests[Algorithm.SHA384] == hashlib.sha384(b"abc").digest()


@pytest.mark.parametrize(
    "text",
    ["", "{", "{}x", "[1]", '[{"name": "a"}]', '[{"name": "a", "address": "0", "size": 1, "digests": {}}]', "[" * 9999],
)
def test_what_is_damaged_is_said_to_be(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(UnreadableError, match=r"p\.json: damaged"):
        pieces.load(tmp_path / "p.json")


def test_what_is_not_there(tmp_path):
    with pytest.raises(UnreadableError, match="No such file"):
        pieces.load(tmp_path / "p.json")


def test_inputs():
    found = {each.name: each for each in pieces.inputs(b"MZ", "quiet", b"cpio")}
    assert list(found) == ["payload", "command line", "initrd"]
    assert found["command line"].digests[Algorithm.SHA1] == hashlib.sha1(b"quiet").digest()
    assert [each.name for each in pieces.inputs(b"MZ", None, None)] == ["payload"]
