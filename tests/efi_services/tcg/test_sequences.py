"""Hashing in pieces."""

import pytest

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.commands import Rc, TpmError
from efi_services.tcg.sequences import MAX_BYTES, MOST, Sequences

SHA256 = Algorithm.SHA256


def refused(call, *arguments):
    with pytest.raises(TpmError) as why:
        call(*arguments)
    return why.value.code


def test_a_handle_is_free_again():
    sequences = Sequences()
    made = [sequences.start(SHA256, b"") for _ in range(MOST)]
    assert refused(sequences.start, SHA256, b"") == Rc.OBJECT_MEMORY
    sequences.update(made[1], b"a")
    assert sequences.complete(made[1], b"b") == SHA256.digest(b"ab")
    assert refused(sequences.check, made[1], 1) == Rc.REFERENCE_H0
    assert sequences.start(None, b"") == made[1]


def test_each_kind_has_its_end():
    sequences = Sequences()
    hashing, event = sequences.start(SHA256, b""), sequences.start(None, b"")
    assert refused(sequences.complete, event, b"") == 0x189
    assert refused(sequences.complete_event, hashing, b"") == 0x289
    assert sequences.complete_event(event, b"x") == digests(tuple(Algorithm), b"x")


def test_what_is_no_sequence():
    assert refused(Sequences().check, 9, 2) == 0x284


def test_bytes_are_limited():
    sequences = Sequences()
    handle = sequences.start(SHA256, b"")
    sequences.update(handle, bytes(MAX_BYTES))
    assert refused(sequences.update, handle, b"x") == Rc.OBJECT_MEMORY
