"""Tables in each layout, by the sizes that compilers of TrenchBoot's headers give."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.slaunch import slrt
from efi_services.slaunch.generations import GENERATIONS
from efi_services.slaunch.slrt import Measured, SlrtError, Tag, read

LAYOUTS = {year: each.layout for year, each in GENERATIONS.items() if each.layout is not None}
#: The last is an MTRR's mask, so that not all is zero.
MTRRS = struct.pack("<QQ", 6, 1) + bytes(8) + b"\x12" * 8 + bytes(31 * 16)


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return LAYOUTS[request.param]


def test_sizes():
    assert {year: each.intel_info for year, each in LAYOUTS.items()} == {
        "2026": 560,
        "2025": 560,
        "2024": 552,
        "2023": 540,
    }


def test_what_it_says_is_read(layout, build_slrt):
    table = read(build_slrt.table(layout), layout)
    assert table.architecture == slrt.TXT
    assert table.policy == (Measured(18, 1, "Measured SLR Table", 0), Measured(17, 6, "Measured Kernel initrd", 4000))
    assert table.config == (Measured(18, 0, "Measured UEFI memory map", 60),)


def test_new_kernels_measure_intel_info_without_its_addresses(build_slrt):
    for year in ("2026", "2025"):
        data = build_slrt.table(LAYOUTS[year], address=0x1234_5678)
        expected = struct.pack("<IIQQQ", 4, 560, 0, 0, 0x850089) + MTRRS
        assert read(data, LAYOUTS[year]).measured == expected
        assert data.count(struct.pack("<Q", 0x1234_5678)) >= 2


def test_older_kernels_measure_the_tables_beginning(build_slrt):
    for year, size in (("2024", 552), ("2023", 540)):
        data = build_slrt.table(LAYOUTS[year], address=0x1234_5678)
        assert read(data, LAYOUTS[year]).measured == data[:size]


def test_with_skinit_it_is_amd_info_without_its_addresses(build_slrt):
    layout = LAYOUTS["2026"]
    body = struct.pack("<QIIQQQHHHH", 0xAAAA, 1, 2, 4096, 0xBBBB, 0xCCCC, 7, 0, 0, 0)
    data = build_slrt.table(layout, slrt.SKINIT, build_slrt.entry(Tag.AMD_INFO, body, layout))
    expected = struct.pack("<IIQIIQQQHHHH", 5, 56, 0, 1, 2, 4096, 0, 0, 7, 0, 0, 0)
    assert read(data, layout).measured == expected


def test_the_first_entry_of_a_kind_counts(build_slrt, layout):
    other = build_slrt.policy((Measured(20, 4, "x"),), layout)
    assert read(build_slrt.table(layout, more=other), layout).policy[0].pcr == 18


def test_the_layouts_of_two_generations_are_not_taken_for_each_other(build_slrt):
    for made in LAYOUTS.values():
        for taken in LAYOUTS.values():
            if (made.wide, made.addresses) != (taken.wide, taken.addresses):
                with pytest.raises(SlrtError):
                    read(build_slrt.table(made), taken)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:15], "cut off"),
        (lambda data: b"x" + data[1:], "no SLR table"),
        (lambda data: data[:4] + b"\2" + data[5:], "no SLR table"),
        (lambda data: data[:-1], "says that it has"),
        (lambda data: data[:8] + b"\xff\xff\xff\xff" + data[12:], "says that it has"),
        (lambda data: data[:8] + b"\x0f\0\0\0" + data[12:], "says that it has"),
        (lambda data: data[:8] + b"\x10\0\0\0" + data[12:], "no policy"),
        (lambda data: data[:16] + b"\1\0\0\0" + b"\7" + data[21:], "offset 0x10: an entry says"),
        (lambda data: data[:16] + b"\1\0\0\0" + b"\xff\xff\xff\xff" + data[24:], "offset 0x10: an entry says"),
    ],
)
def test_what_is_damaged_is_said_to_be(build_slrt, change, why):
    layout = LAYOUTS["2026"]
    with pytest.raises(SlrtError, match=why):
        read(change(build_slrt.table(layout)), layout)


@pytest.mark.parametrize(
    ("tag", "body"),
    [
        (Tag.ENTRY_POLICY, b""),
        (Tag.ENTRY_POLICY, struct.pack("<4xHH", 1, 1)),
        (Tag.ENTRY_POLICY, struct.pack("<4xHH", 2, 0)),
        (Tag.ENTRY_POLICY, struct.pack("<4xHH", 1, 0xFFFF) + bytes(56)),
        (Tag.UEFI_CONFIG, struct.pack("<4xHH", 1, 2) + bytes(48)),
        (Tag.INTEL_INFO, bytes(8)),
    ],
)
def test_entries_that_are_too_short_for_what_they_say(build_slrt, tag, body):
    layout = LAYOUTS["2026"]
    bad = build_slrt.entry(tag, body, layout)
    with pytest.raises(SlrtError, match="offset 0x10"):
        read(build_slrt.table(layout, first=bad), layout)


@given(st.data())
def test_whatever_it_is_it_is_read_or_refused(build_slrt, data):
    layout = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))]
    table = bytearray(build_slrt.table(layout))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(table) - 1), st.integers(0, 255)), max_size=8)):
        table[at] = value
    with suppress(SlrtError):
        assert len(read(bytes(table), layout).measured) in (56, layout.intel_info)
