import hashlib

from efi_services.tcg.algorithms import Algorithm
from shim.measure.ima import boot_aggregate
from shim.measure.model import Measured, Measurements

SHA1, SHA256, SHA384, SHA512 = Algorithm


def test_it_is_over_the_pcrs_of_the_boot(boots):
    pcrs = boots((SHA1, SHA256), model={"unknown": frozenset()})
    found = boot_aggregate(Measured("x", None, "", "firmware", (pcrs,)), pcrs)
    values = pcrs.registers()
    # Nothing was measured into PCR 8.
    assert 8 not in values
    sha256 = b"".join(values[index][SHA256] for index in range(8)) + bytes(32) + values[9][SHA256]
    sha1 = b"".join(values[index][SHA1] for index in range(8))
    assert found == {SHA256: hashlib.sha256(sha256).digest(), SHA1: hashlib.sha1(sha1).digest()}


def test_it_is_not_told_where_a_part_is_not_known(boots, mr_boots):
    known = boots((SHA256,), model={"unknown": frozenset({17})})
    cases = [
        ("firmware", known, True),
        ("firmware", boots((SHA256,)), False),
        ("drtm", known, False),
        ("xen", known, False),
        ("firmware", mr_boots(), False),
        ("firmware", Measurements("tpm", (SHA256,), (), frozenset({9})), False),
    ]
    for profile, each, told in cases:
        assert bool(boot_aggregate(Measured("x", None, "", profile, (each,)), each)) is told
