import pytest

from efi_services.tcg.algorithms import Algorithm, by_label, by_number, digests

SHA1, SHA256, SHA384, SHA512 = Algorithm


@pytest.mark.parametrize(
    ("algorithm", "abc"),
    [
        (SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
)
def test_the_digests_of_the_standard(algorithm, abc):
    assert algorithm.digest(b"abc").hex() == abc
    assert algorithm.digest(b"a", memoryview(b"bc")).hex() == abc


def test_sizes_numbers_and_bits():
    assert [(each.number, each.size, each.bit) for each in Algorithm] == [
        (4, 20, 1),
        (0xB, 32, 2),
        (0xC, 48, 4),
        (0xD, 64, 8),
    ]
    assert all(len(each.digest(b"")) == each.size for each in Algorithm)


def test_they_are_found_by_name_and_number():
    assert by_label("SHA256") is SHA256
    assert by_label("sm3_256") is None
    assert by_number(0xC) is SHA384
    assert by_number(0x12) is None


def test_to_extend_is_to_digest_both():
    assert SHA1.extend(bytes(20), b"\1" * 20) == SHA1.digest(bytes(20) + b"\1" * 20)
    assert digests((SHA1, SHA512), b"x") == {SHA1: SHA1.digest(b"x"), SHA512: SHA512.digest(b"x")}
