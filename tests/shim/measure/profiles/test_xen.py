"""Xen's pv-grub: kernel, command line and first module, by SHA-1."""

import hashlib

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.piece import piece
from shim.errors import MissingError, UnreadableError, UsageError
from shim.measure import pieces
from shim.measure.profiles import PROFILES
from shim.trace.folder import RunFolder

SHA1 = Algorithm.SHA1


@pytest.fixture
def measure(make_report, tmp_path):
    def measures(*found, **options):
        pieces.save(tmp_path / pieces.INPUTS, found)
        (made,) = PROFILES["xen"].measure(RunFolder(tmp_path, make_report()), options).sets
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
        piece("payload", b"kernel"),
        piece("payload image", b"another digest"),
        piece("load options", b"q\0", 0x1000),
        piece("command line", b"quiet"),
    )
    assert [(each.index, each.data) for each in made.events] == [(4, b"kernel"), (5, b"command line"), (5, b"module 0")]
    assert made.algorithms == (SHA1,)
    assert made.registers() == {4: {SHA1: extend(b"kernel")}, 5: {SHA1: extend(b"quiet", b"cpio")}}
    assert made.unknown == frozenset()


def test_what_was_not_given_is_not_measured(measure):
    assert measure(piece("payload", b"kernel")).registers() == {4: {SHA1: extend(b"kernel")}}


def test_without_a_tpm_the_boot_has_to_fail(measure):
    with pytest.raises(MissingError, match="no TPM"):
        measure(tpm="none")


def test_the_tpm_it_has_been_written_for(measure):
    assert measure(piece("payload", b"kernel"), tpm="1.2").algorithms == (SHA1,)


@pytest.mark.parametrize("options", [{"tpm": "2.0"}, {"tpm": ""}, {"layout": "first"}])
def test_options_that_make_no_sense(measure, options):
    with pytest.raises(UsageError, match="tpm"):
        measure(**options)


def test_without_the_payloads_digests_there_is_no_half_a_log(measure):
    with pytest.raises(UnreadableError, match="q35-tpm"):
        measure(piece("command line", b"quiet"), piece("initrd", b"cpio"))
