from dataclasses import replace

import pytest

from efi_services.tcg.algorithms import Algorithm
from shim.errors import UsageError
from shim.measure.formats.common import (
    any_of,
    canonical,
    confidential_of,
    hash_list,
    labelled,
    pcrs_of,
    pretty,
    register_key,
    register_name,
)

SHA1, SHA256, *_ = Algorithm


def test_registers_have_names():
    assert register_name("tpm", 4) == "PCR 4"
    assert register_name("tdx", 1) == "RTMR0"
    assert register_name("cca", 0) == "RIM"
    assert register_name("tdx", 9) == "MR 9"
    assert register_key("tpm", 17) == "pcr17"
    assert register_key("tdx", 4) == "rtmr3"


def test_each_format_gets_the_set_that_it_is_about(measured):
    assert pcrs_of(measured, "x").kind == "tpm"
    assert confidential_of(measured, "x").kind == "tdx"
    assert any_of(measured, "x").kind == "tpm"


def test_a_set_that_is_not_there_is_one_line(boots, wrap):
    with pytest.raises(UsageError, match=r"^ccel is made of registers of .*, and what was measured is: tpm$"):
        confidential_of(wrap(boots()), "ccel")
    with pytest.raises(UsageError, match=r"measured is: nothing$"):
        any_of(wrap(), "pcrs")


def test_digests_stand_in_the_order_of_their_algorithms(boots):
    event = boots().events[0]
    turned = dict(reversed(event.digests.items()))
    assert list(labelled(turned)) == ["sha1", "sha256", "sha384", "sha512"]
    assert hash_list(replace(event, digests=turned)) == hash_list(event)
    assert hash_list(replace(event, type=3)) == []


def test_json_is_the_same_for_the_same_value():
    assert canonical({"b": 1, "a": "č"}) == '{"a":"č","b":1}'
    assert pretty({"b": 1}) == b'{\n  "b": 1\n}\n'
