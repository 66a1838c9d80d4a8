"""Tables that we lay out: sizes and offsets as compilers of TrenchBoot's headers give them."""

import struct

import pytest

from efi_services.slaunch import slrt, table
from efi_services.slaunch.boot_params import BootParams
from efi_services.slaunch.dlme import Dlme
from efi_services.slaunch.generations import GENERATIONS, policy
from efi_services.slaunch.slrt import Entity, Measured, Tag
from efi_services.slaunch.table import Contents, context_at, encode, filled_in, places

DLME = Dlme(0x20_0000, 0x100, 0x9000, 0x20_1000, 0x20_0000, 0x30_0000)
POLICY = policy(GENERATIONS["2026"], 17, 18)
CONTENTS = Contents(slrt.TXT, 0x5000, (0x6000, 0x8000), POLICY, 0xABCD, 0x7000_0000, 0x9000, DLME)
WIDE = [year for year, each in GENERATIONS.items() if each.form is not None]


def entry(data, year, tag, contents=CONTENTS):
    at = places(contents, GENERATIONS[year].layout)[tag]
    found, size = struct.unpack_from("<II", data, at)
    assert found == tag
    return data[at : at + size]


@pytest.mark.parametrize("year", WIDE)
def test_what_is_laid_out_is_read(year):
    layout = GENERATIONS[year].layout
    data = encode(CONTENTS, layout)
    assert struct.unpack_from("<IHHII", data) == (0x4452544D, 1, 1, len(data), 4096)
    assert data.endswith(struct.pack("<II", 0xFFFF, 8))
    found = slrt.read(data, layout)
    assert (found.policy, found.config, found.architecture) == (POLICY, (), slrt.TXT)


def test_sizes():
    sizes = {"2026": (88, 560), "2025": (72, 560), "2024": (72, 552)}
    for year in WIDE:
        data = encode(CONTENTS, GENERATIONS[year].layout)
        info, log, rows, intel = (
            entry(data, year, tag) for tag in (Tag.DL_INFO, Tag.LOG_INFO, Tag.ENTRY_POLICY, Tag.INTEL_INFO)
        )
        assert (len(info), len(intel)) == sizes[year]
        assert (len(log), len(rows)) == (24, 16 + 56 * len(POLICY))
        assert log[8:] == struct.pack("<HHIQ", 2, 0, 0x8000, 0x6000)
        # The function that launches comes last, the loader's context before it.
        assert info[-24:] == struct.pack("<HHHHQQ", 1, 0, 0, 0, 0, 0xABCD)
        assert info.index(struct.pack("<HHHHQQ", 1, 0, 0, 0, 0, 0xABCD)) == context_at(GENERATIONS[year].layout)
        assert struct.unpack_from("<5Q", info, 8) == (0, 0, DLME.size, DLME.base, 0x1000)


def test_newer_ones_tell_of_header_and_parameters():
    info = entry(encode(CONTENTS, GENERATIONS["2026"].layout), "2026", Tag.DL_INFO)
    assert struct.unpack_from("<2Q", info, 48) == (0x100, 0x9000)


def test_intel_info_begins_with_the_addresses_that_the_layout_has():
    for year, addresses in (("2025", (0x9000, 0x7000_0000)), ("2024", (0x7000_0000,))):
        info = entry(encode(CONTENTS, GENERATIONS[year].layout), year, Tag.INTEL_INFO)
        assert struct.unpack_from(f"<{len(addresses)}Q", info, 8) == addresses


def test_with_skinit_it_has_amd_info():
    contents = Contents(slrt.SKINIT, 0x5000, (0, 0), POLICY, boot_params=0x9000)
    data = encode(contents, GENERATIONS["2026"].layout)
    info = entry(data, "2026", Tag.AMD_INFO, contents)
    assert info[8:] == struct.pack("<QIIQQQHHHH", 0, 0, 56, 4096, 0x5000, 0x9000, 0, 0, 0, 0)
    assert slrt.read(data, GENERATIONS["2026"].layout).architecture == slrt.SKINIT


def test_a_policy_is_filled_in_from_boot_params():
    extra = Measured(18, Entity.TXT_OS2MLE, "Measured TXT OS-MLE data")
    found = BootParams(0x77, (0x100, 20), (0x200, 480), (0, 0))
    rows = {each.text: each for each in filled_in((*POLICY, extra), 0x5000, 0x9000, found)}
    assert {text: (each.entity, each.address, each.size) for text, each in rows.items()} == {
        "Measured SLR Table": (Entity.SLRT, 0x5000, 0),
        "Measured boot parameters": (Entity.BOOT_PARAMS, 0x9000, 4096),
        "Measured Kernel setup_data": (Entity.SETUP_DATA, 0x77, 0),
        "Measured Kernel command line": (Entity.CMDLINE, 0x100, 20),
        "Measured EFI memory map": (Entity.UEFI_MEMMAP, 0x200, 480),
        # There is no initrd.
        "Measured Kernel initrd": (Entity.UNUSED, 0, 0),
        "Measured TXT OS-MLE data": (Entity.TXT_OS2MLE, 0, 0),
    }


def test_a_row_says_where_it_lies():
    rows = table.policy((Measured(17, Entity.RAMDISK, "Measured Kernel initrd", 4000, 0x8000),))
    assert rows == struct.pack("<HHHH", 0, 0, 1, 1) + struct.pack(
        "<HHHHQQ32s", 17, 6, 1, 0, 4000, 0x8000, b"Measured Kernel initrd"
    )
