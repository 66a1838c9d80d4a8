"""What the model says of itself."""

import struct

import pytest

from efi_services.tcg import commands
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.capabilities import capability
from efi_services.tcg.commands import Code, Parameters

ACTIVE = (Algorithm.SHA256,)


def values(kind, first, count):
    made = capability(kind, first, count, ACTIVE)
    more, kind_again, number = struct.unpack_from(">BII", made)
    assert kind_again == kind
    return bool(more), number, made[9:]


def test_properties_from_the_one_that_was_asked_for():
    assert values(commands.CAP_PROPERTIES, 0x105, 1) == (True, 1, struct.pack(">I", 0x105) + b"SHIM")
    more, number, found = values(commands.CAP_PROPERTIES, 0x10E, 1)
    assert (more, number, found) == (True, 1, struct.pack(">II", 0x112, 24))
    assert values(commands.CAP_PROPERTIES, 0x500, 4) == (False, 0, b"")


def test_banks():
    answer = Parameters(capability(commands.CAP_PCRS, 0, 9, ACTIVE)[5:])
    assert answer.selections() == [(each, 0xFFFFFF if each in ACTIVE else 0) for each in Algorithm]


def test_handles_are_pcrs_only():
    assert values(commands.CAP_HANDLES, 22, 9) == (False, 2, struct.pack(">II", 22, 23))
    assert values(commands.CAP_HANDLES, 0x8000_0000, 9) == (False, 0, b"")


def test_commands_and_algorithms():
    _, number, found = values(commands.CAP_COMMANDS, 0, 999)
    assert number == len(Code)
    numbers = [each & 0xFFFF for (each,) in struct.iter_unpack(">I", found)]
    assert numbers == sorted(Code)
    assert values(commands.CAP_ALGORITHMS, 0, 1) == (True, 1, struct.pack(">HI", 4, 4))


@pytest.mark.parametrize(("kind", "first"), [(99, 0), (commands.CAP_PCRS, 1)])
def test_what_is_not_known(kind, first):
    assert capability(kind, first, 1, ACTIVE) is None
