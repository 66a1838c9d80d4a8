"""Bytes by their digests."""

import hashlib

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.piece import Piece, piece


def test_a_piece_has_all_digests_of_its_bytes():
    made = piece("initrd", b"cpio", 0x1000, 7)
    assert (made.name, made.address, made.size, made.call) == ("initrd", 0x1000, 4, 7)
    assert made.digests == {each: hashlib.new(each.label, b"cpio").digest() for each in Algorithm}


def test_guest_memory_is_not_copied_first():
    memory = bytearray(b"..cpio..")
    made = piece("initrd", memoryview(memory)[2:6])
    memory[2:6] = b"else"
    assert made == piece("initrd", b"cpio")
    assert (made.address, made.call) == (0, None)


def test_nothing_has_a_digest_too():
    made = piece("variable", b"")
    assert made == Piece("variable", 0, 0, {each: hashlib.new(each.label).digest() for each in Algorithm})
