"""Xen's pv-grub: kernel, command line and first module, by SHA-1."""

import hashlib

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.piece import piece
from payloads import catalogue
from shim.errors import MissingError, UsageError
from shim.measure import pieces
from shim.measure.profiles import PROFILES
from shim.trace.folder import RunFolder

SHA1 = Algorithm.SHA1


KERNEL = catalogue.program("program:hello").read_bytes()
SHA256_OF_KERNEL = hashlib.sha256(KERNEL).hexdigest()


@pytest.fixture
def measure(make_report, tmp_path):
    def measures(*found, sha256=SHA256_OF_KERNEL, **options):
        pieces.save(tmp_path / pieces.INPUTS, found)
        run = RunFolder(tmp_path, make_report(payload={"name": "program:hello", "sha256": sha256}))
        (made,) = PROFILES["xen"].measure(run, options).sets
        return made

    return measures


def extend(*data):
    value = bytes(20)
    for each in data:
        value = hashlib.sha1(value + hashlib.sha1(each).digest()).digest()
    return value


def test_kernel_command_line_and_module(measure):
    # In a folder they lie in another order, and among others.
    made = measure(
        piece("initrd", b"cpio"),
        piece("load options", b"q\0", 0x1000),
        piece("command line", b"quiet"),
    )
    assert [(each.index, each.data) for each in made.events] == [(4, b"kernel"), (5, b"command line"), (5, b"module 0")]
    assert made.algorithms == (SHA1,)
    assert made.registers() == {4: {SHA1: extend(KERNEL)}, 5: {SHA1: extend(b"quiet", b"cpio")}}
    assert made.unknown == frozenset()


def test_what_was_not_given_is_not_measured(measure):
    assert measure().registers() == {4: {SHA1: extend(KERNEL)}}


def test_without_a_tpm_the_boot_has_to_fail(measure):
    with pytest.raises(MissingError, match="no TPM"):
        measure(tpm="none")


def test_the_tpm_it_has_been_written_for(measure):
    assert measure(tpm="1.2").algorithms == (SHA1,)


@pytest.mark.parametrize("options", [{"tpm": "2.0"}, {"tpm": ""}, {"layout": "first"}])
def test_options_that_make_no_sense(measure, options):
    with pytest.raises(UsageError, match="tpm"):
        measure(**options)


def test_without_the_payload_there_is_no_half_a_log(measure):
    with pytest.raises(MissingError, match="--payload"):
        measure(piece("command line", b"quiet"), piece("initrd", b"cpio"), sha256="00" * 32)
