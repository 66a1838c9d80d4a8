"""What a comparison says: equal, different with a reason, or unexplained."""

import dataclasses
import struct

import pytest

from canned import BANKS, made, ours_and_theirs
from efi_services import acpi
from efi_services.tcg.events import EventType
from judge import (
    Verdict,
    acpi_tpm2,
    all_equal,
    by_a_tool,
    events,
    handed,
    memory,
    order,
    registers,
    row,
    tables,
    unexplained,
)
from observed import Range
from shim.measure.model import Measurements


def verdicts(rows):
    return [each.verdict for each in rows]


def of(rows, what):
    return next(each for each in rows if each.what.startswith(what))


def replaced(pair, change):
    """The pair with the machine's events changed by a function."""
    measured, ours, real = pair
    return (
        measured,
        ours,
        dataclasses.replace(real, log=dataclasses.replace(real.log, events=tuple(change(list(real.log.events))))),
    )


def test_the_machines_own_part_is_explained_from_what_it_says(pair):
    measured, _, real = pair
    rows = events(measured, real)
    assert not unexplained(rows)
    differing = {each.what.partition(",")[0]: each.why for each in rows if each.verdict is Verdict.DIFFERS}
    assert list(differing) == ["0: PCR 0", "1: PCR 0", "4: PCR 1", "6: PCR 1", "7: PCR 1"]
    assert '"2022.11"' in differing["0: PCR 0"]
    assert "896 KiB at 0x820000" in differing["1: PCR 0"]
    assert '"ACPI DATA"' in differing["4: PCR 1"]
    assert "order 0000" in differing["6: PCR 1"]
    assert '"UiApp"' in differing["7: PCR 1"]
    image = of(rows, "5: PCR 4")
    assert image.verdict is Verdict.EQUAL
    assert "in digest" in image.why
    assert "where" in image.why


def test_the_order_of_what_both_have(pair):
    measured, _, real = pair
    assert order(measured, real).verdict is Verdict.EQUAL
    assert order(measured, real).why == "13 events"
    # Only over all registers: within PCR 9 and PCR 5 nothing has moved.
    _, _, moved = replaced(pair, lambda found: [*found[:-2], found[-1], found[-2]])
    assert not unexplained(events(measured, moved))
    assert order(measured, moved).verdict is Verdict.UNEXPLAINED


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda found: [each for each in found if (each.index, each.type) != (3, EventType.EV_SEPARATOR)], "PCR 3"),
        (lambda found: [*found, made(4, EventType.EV_EFI_ACTION, b"unheard of")], "PCR 4"),
        (lambda found: [*found, made(0, EventType.EV_POST_CODE, b"unheard of")], "PCR 0"),
        (lambda found: [made(9, e.type, b"other", e.data) if e.index == 9 else e for e in found], "PCR 9"),
    ],
    ids=["missing", "extra", "of the firmware", "other digest"],
)
def test_what_nobody_can_explain_is_said(pair, change, what):
    measured, _, real = replaced(pair, change)
    rows = unexplained(events(measured, real))
    assert len(rows) == 1
    assert what in rows[0].what


def test_a_firmware_without_secure_boot_has_no_variable(pair):
    def without(found):
        data = found[2].data[:-1]
        size = struct.pack("<Q", 0)
        data = data[:24] + size + data[32:]
        return [*found[:2], made(7, found[2].type, data), *found[3:]]

    measured, _, real = replaced(pair, without)
    found = of(events(measured, real), "2: PCR 7")
    assert found.verdict is Verdict.DIFFERS
    assert "without Secure Boot" in found.why


def test_registers_are_the_tpms(pair):
    measured, ours, real = pair
    rows = registers(measured, ours.registers, real)
    assert not unexplained(rows)
    assert {each.what for each in rows if each.verdict is Verdict.DIFFERS} == {"PCR 0", "PCR 1", "PCR 2"}
    assert ours.registers[4][BANKS[1]].hex() in of(rows, "PCR 4").why


def test_a_tpm_that_contradicts_its_log_is_seen(pair):
    measured, ours, real = pair
    wrong = {**real.registers, 4: dict.fromkeys(BANKS, b"\1" * 20)}
    rows = registers(measured, ours.registers, dataclasses.replace(real, registers=wrong))
    assert of(rows, "the machine's log").verdict is Verdict.UNEXPLAINED


def test_with_the_machines_part_known_nothing_may_differ(pair, build):
    measured, ours, real = pair
    assert unexplained(all_equal(measured, ours.registers, real))
    _, there = ours_and_theirs()
    known = Measurements("tpm", BANKS, tuple(there), frozenset())
    rows = all_equal(known, build(there).registers, real)
    assert set(verdicts(rows)) == {Verdict.EQUAL}
    assert len(rows) == 10


def test_what_a_tool_says_of_our_log(pair):
    _, _, real = pair
    assert by_a_tool("tool", real.log.registers(), real).why == "9 registers as in the machine's TPM"
    assert by_a_tool("tool", {}, real).verdict is Verdict.UNEXPLAINED
    wrong = {**real.log.registers(), 3: {BANKS[0]: bytes(20)}}
    assert "PCR 3 sha1" in by_a_tool("tool", wrong, real).why


def test_rows():
    assert row("what", 1, 1).verdict is Verdict.EQUAL
    assert row("what", 1, 2).verdict is Verdict.UNEXPLAINED
    assert row("what", 1, 2, "because.").why == "ours 1, there 2. because."


def boot_params(**changed):
    fields = {"type_of_loader": 0x21, "ramdisk_image": 0x1000, "e820_entries": 3, **changed}
    return {"fields": fields, "efi_info": {"loader_signature": "EL64", "descriptor_size": 48, "descriptor_version": 1}}


def test_what_a_kernel_is_handed(pair):
    _, ours, real = pair
    ours = dataclasses.replace(ours, boot_params=boot_params())
    there = boot_params(ramdisk_image=0x2000, e820_entries=9)
    rows = handed(ours, dataclasses.replace(real, boot_params=there))
    assert not unexplained(rows)
    assert {each.what for each in rows if each.verdict is Verdict.DIFFERS} == {"boot_params, e820_entries"}
    assert not any("ramdisk_image" in each.what for each in rows)
    rows = handed(ours, dataclasses.replace(real, boot_params=boot_params(type_of_loader=0), cmdline="loud"))
    assert {each.what for each in unexplained(rows)} == {
        "command line that the kernel saw", "boot_params, type_of_loader",
    }  # fmt: skip


def test_a_kernel_that_keeps_no_initrd(pair):
    _, ours, real = pair
    assert of(handed(ours, dataclasses.replace(real, initrd_sha256=None)), "initrd").verdict is Verdict.DIFFERS
    other = dataclasses.replace(real, initrd_sha256="11" * 32)
    assert of(handed(ours, other), "initrd").verdict is Verdict.UNEXPLAINED


def test_the_device_tree(pair):
    _, ours, real = pair
    chosen = {"bootargs": "quiet", "kaslr-seed": 1, "linux,uefi-mmap-start": 1}
    ours = dataclasses.replace(ours, chosen=chosen)
    for theirs, wrong in (
        ({**chosen, "linux,uefi-mmap-start": 2, "kaslr-seed": 0}, 0),
        ({"bootargs": "quiet", "linux,uefi-mmap-start": 2}, 0),
        ({**chosen, "stdout-path": "/pl011"}, 0),
        ({**chosen, "bootargs": "loud"}, 1),
        ({**chosen, "more": 1}, 1),
    ):
        assert len(unexplained(handed(ours, dataclasses.replace(real, chosen=theirs)))) == wrong


def test_tables_and_where_they_lie(pair):
    _, ours, real = pair
    assert set(verdicts(tables(ours, real))) == {Verdict.EQUAL}
    more = dataclasses.replace(real, tables={**real.tables, "SMBIOS": 0x4000})
    assert verdicts(tables(ours, more)) == [Verdict.EQUAL, Verdict.DIFFERS, Verdict.EQUAL]
    elsewhere = dataclasses.replace(real, tables={**real.tables, "INITRD": 0x3000, "UNHEARD": 0x3000})
    assert {each.what for each in unexplained(tables(ours, elsewhere))} == {
        "configuration table INITRD", "configuration table UNHEARD",
    }  # fmt: skip


def test_the_acpi_table_of_the_tpm(pair):
    _, ours, real = pair
    mine, other = acpi.tpm2("tis", 0x1000, 0x10000), acpi.tpm2("tis", 0x9000, 0x10000)
    ours = dataclasses.replace(ours, tpm2=mine)
    rows = acpi_tpm2(ours, dataclasses.replace(real, tpm2=other))
    assert not unexplained(rows)
    assert [each.what for each in rows if each.verdict is Verdict.DIFFERS] == ["ACPI table TPM2, log area"]
    crb = dataclasses.replace(real, tpm2=acpi.tpm2("crb", 0x1000, 0x10000))
    assert {each.what.rpartition(", ")[2] for each in unexplained(acpi_tpm2(ours, crb))} == {
        "control area", "start method",
    }  # fmt: skip
    assert unexplained(acpi_tpm2(ours, real))


def test_a_memory_map_holds_what_all_do(pair):
    _, ours, real = pair
    assert set(verdicts(memory(ours, real))) == {Verdict.EQUAL}


@pytest.mark.parametrize(
    "extra",
    [
        Range(0x6000, 0x6800, "ConventionalMemory", False),
        Range(0x5000, 0x6000, "ConventionalMemory", False),
        Range(0x6000, 0x7000, "RuntimeServicesCode", False),
        Range(0x6000, 0x7000, "LoaderData", True),
        Range(0x6000, 0x7000, "LoaderData", False),
    ],
    ids=["part of a page", "twice", "not runtime", "runtime", "more RAM"],
)
def test_a_memory_map_that_does_not(pair, extra):
    _, ours, real = pair
    broken = dataclasses.replace(real, memory_map=(*real.memory_map, extra))
    assert unexplained(memory(ours, broken))


def test_a_table_in_memory_that_is_given_away(pair):
    _, ours, real = pair
    broken = dataclasses.replace(real, tables={"INITRD": 0x1000})
    assert any("tables" in each.what for each in unexplained(memory(ours, broken)))
