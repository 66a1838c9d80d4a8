"""Sets of registers: what their events come to."""

import hashlib
from dataclasses import replace

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.registers import replay

SHA256 = Algorithm.SHA256


def test_registers_are_what_the_events_come_to_without_the_unknown_ones(boots):
    pcrs = boots()
    assert pcrs.registers().keys() == {1, 3, 4, 5, 6, 7, 9}
    whole = replace(pcrs, unknown=frozenset()).registers()
    assert whole.keys() == {0, 1, 2, 3, 4, 5, 6, 7, 9}
    assert whole == replay(pcrs.events, pcrs.algorithms)


def test_a_dynamic_launch_is_where_its_registers_begin(boots):
    pcrs = boots()
    last = replace(pcrs.events[-1], index=17)
    static = replace(pcrs, events=(last,)).registers()
    dynamic = replace(pcrs, events=(last,), dynamic=True).registers()
    assert dynamic[17][SHA256] == SHA256.extend(bytes(32), last.digests[SHA256])
    assert static[17] != dynamic[17]


def test_a_set_is_found_by_its_kind(measured):
    assert measured.set_of("cca", "tdx").kind == "tdx"
    assert measured.set_of("cca") is None


def test_values_are_digests_of_digests(boots):
    value = bytes(48)
    for data in ("a b\0".encode("utf-16-le"), b"cpio"):
        value = hashlib.sha384(value + hashlib.sha384(data).digest()).digest()
    assert boots(cmdline="a b", initrd=b"cpio").registers()[9][Algorithm.SHA384] == value


def test_sets_may_be_none_at_all(wrap):
    assert wrap().set_of("tpm") is None


def test_a_value_by_the_platforms_word_counts(boots):
    given = {0: {SHA256: b"g" * 32}, 4: {SHA256: b"h" * 32}}
    pcrs = replace(boots((SHA256,)), unknown=frozenset({2}), given=given)
    values = pcrs.registers()
    assert list(values) == sorted(values)
    assert (values[0], values[4]) == (given[0], given[4])
