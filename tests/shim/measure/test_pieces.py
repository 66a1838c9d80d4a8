"""Pieces with their digests, in a file."""

import hashlib
import json

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.piece import piece
from payloads import catalogue, identify
from shim.errors import UnreadableError
from shim.measure import pieces
from ukis import extend


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


def row(**parts):
    whole = {"name": "x", "address": "0x0", "size": 0, "call": None}
    digests = {each.label: "00" * each.size for each in Algorithm}
    return json.dumps([whole | {"digests": digests} | parts])


@pytest.mark.parametrize("address", ["0x10", "10"])
def test_addresses_are_hexadecimal(tmp_path, address):
    (tmp_path / "p.json").write_text(row(address=address))
    assert pieces.load(tmp_path / "p.json")[0].address == 0x10


@pytest.mark.parametrize(
    "text",
    [
        *(row(address=each) for each in ("-1", "0x1" + "0" * 16, "f" * 5000, "", "x", 5, None)),
        *(row(size=each) for each in (-1, 1 << 64, "5", 1.5, None, [])),
        *(row(call=each) for each in (-1, 1 << 64, "5", 1.5, [])),
        *(row(digests=each) for each in (None, [], {}, {each.label: "00" for each in Algorithm})),
        row().replace('"size": 0', '"size": 1e999'),
        row().replace('"size": 0', '"size": NaN'),
        row().replace('"size": 0', f'"size": {"9" * 5000}'),
        row().replace('"00', '"zz'),
    ],
    ids=lambda text: text[:80],
)
def test_numbers_and_digests_that_no_run_has(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(UnreadableError, match=r"p\.json: damaged"):
        pieces.load(tmp_path / "p.json")


def test_a_place_that_can_not_be_written(tmp_path):
    with pytest.raises(UnreadableError, match="Is a directory"):
        pieces.save(tmp_path, [])


def test_inputs():
    found = {each.name: each for each in pieces.inputs("größe", b"cpio")}
    assert list(found) == ["command line", "initrd"]
    assert found["command line"].digests[Algorithm.SHA1] == hashlib.sha1("größe".encode()).digest()
    assert found["initrd"].digests[Algorithm.SHA512] == hashlib.sha512(b"cpio").digest()
    assert {each.address for each in found.values()} == {0}
    assert pieces.inputs(None, None) == []


def test_the_image_is_measured_as_firmware_does_it():
    """Without the checksum and the entry of the certificate table, which lie in the optional header."""
    payload = catalogue.program("program:hello").read_bytes()
    optional = int.from_bytes(payload[0x3C:0x40], "little") + 24
    checksum, certificates = optional + 64, optional + 112 + 4 * 8
    measured = payload[:checksum] + payload[checksum + 4 : certificates] + payload[certificates + 8 :]
    image = pieces.image(payload)
    assert (image.name, image.size) == ("payload image", len(payload))
    assert image.digests == {each: hashlib.new(each.label, measured).digest() for each in Algorithm}


def test_the_sections_of_a_unified_kernel_image():
    program = catalogue.program("program:hello").read_bytes()
    sections = [(".cmdline", b"quiet"), (".linux", program), (".profile", b"ID=a"), (".cmdline", b"debug")]
    found = pieces.sections(identify(extend(program, sections), "uki"))
    names = [".cmdline", ".linux", ".profile of profile 0", ".cmdline of profile 0"]
    assert [each.name for each in found] == [f"section {name}" for name in names]
    for each, (_, data) in zip(found, sections, strict=True):
        assert (each.size, each.digests[Algorithm.SHA256]) == (len(data), hashlib.sha256(data).digest())
    assert pieces.sections(identify(program, "hello")) == []
