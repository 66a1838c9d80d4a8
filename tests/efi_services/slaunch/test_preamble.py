"""Each condition, broken by itself: exactly its own rule says no."""

from dataclasses import replace

import pytest

from efi_services.slaunch.dlme import Dlme
from efi_services.slaunch.heap import Heap
from efi_services.slaunch.preamble import RULES, Preamble, judge

DLME = Dlme(0x20_0000, 0x100, 0x9000, 0x20_1000, 0x20_0000, 0x30_0000)
HEAP = Heap(0x40_0000, 0x40_0100, 0x50_0000, DLME.size, DLME.header_offset, (0, 0x80_0000), (0x40_1000, 0x8000))
GOOD = Preamble(
    boot_services=False,
    dlme=DLME,
    why_no_dlme="",
    slrt=0x40_0000,
    heap=HEAP,
    protected=((0, 0x80_0000),),
    kept=((0x40_0000, 0x41_0000),),
    locality=None,
    parked=(True, True),
    on_boot_processor=True,
)


def failed(preamble: Preamble) -> dict[str, str]:
    return {each.rule: each.sentence for each in judge(preamble) if each.met is False}


def test_all_are_met():
    assert {each.rule for each in judge(GOOD) if each.met} == set(RULES)


BROKEN = [
    ("launch-boot-services", {"boot_services": True}, "has not been called"),
    ("launch-dlme", {"dlme": None, "why_no_dlme": "there is none"}, "there is none"),
    ("launch-tpm-localities", {"locality": 2}, "locality 2 is still held"),
    ("launch-dma", {"protected": None}, "can't keep devices"),
    ("launch-dma", {"protected": ()}, "devices can reach 0x400000"),
    ("launch-dma", {"protected": ((0x21_0000, 0x80_0000),)}, "devices can reach 0x200000 to 0x300000"),
    ("launch-dma", {"protected": ((0, 0x40_8000),)}, "devices can reach 0x400000 to 0x410000"),
    ("launch-txt-heap", {"heap": "its BIOS data are gone"}, "its BIOS data are gone"),
    ("launch-txt-heap", {"heap": replace(HEAP, slrt=0)}, "the SLR table is at 0x0"),
    ("launch-txt-heap", {"heap": replace(HEAP, mle_size=1)}, "an MLE of 1 bytes"),
    ("launch-txt-heap", {"heap": replace(HEAP, mle_header=0)}, "with a header at 0x0"),
    ("launch-processors", {"parked": (True, False)}, "processor 2 runs"),
    ("launch-boot-processor", {"on_boot_processor": False}, "not the boot processor"),
]


@pytest.mark.parametrize(("rule", "change", "says"), BROKEN)
def test_a_broken_condition_is_the_only_one(rule, change, says):
    found = failed(replace(GOOD, **change))
    assert list(found) == [rule]
    assert says in found[rule]


def test_every_rule_is_broken_above():
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


def test_without_txt_the_heap_is_no_condition():
    (heap,) = [each for each in judge(replace(GOOD, heap=None)) if each.rule == "launch-txt-heap"]
    assert heap.met is None


def test_a_machine_with_one_processor():
    assert failed(replace(GOOD, parked=())) == {}
