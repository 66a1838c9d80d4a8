"""Each rule, broken alone: a hand-off that keeps all rules is changed in one place, and that verdict says no."""

import gzip
import hashlib
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efi_services.guids import SMBIOS3_TABLE
from efi_services.memory_map import MemoryType
from handoffs import (
    ARGUMENT,
    END,
    FAR,
    INITRD,
    KERNEL,
    MAP,
    MAPPED,
    SETUP_DATA,
    SYSTEM_TABLE,
    TEXT_OFFSET,
    HandOff,
    bzimage,
    zimage,
)
from shim.handoff import arm64, x86
from shim.handoff.verdicts.judge import RULES, judge
from shim.handoff.verdicts.rule import Given
from shim.handoff.verdicts.verdict import Outcome, from_json, to_json

ARCHITECTURES = ("x86_64", "i386", "aarch64", "arm", "riscv64")


def register(name, value):
    def change(handoff):
        handoff.registers[name] = value

    return change


def poke(offset, form, *values):
    def change(handoff):
        handoff.poke(offset, form, *values)

    return change


def retype(start, kind):
    def change(handoff):
        next(each for each in handoff.map if each[0] == start)[2] = kind

    return change


def attributes(**values):
    def change(handoff):
        for name, value in values.items():
            setattr(handoff, name, value)

    return change


def swapped(handoff):
    handoff.map[1], handoff.map[2] = handoff.map[2], handoff.map[1]


def elsewhere(handoff):
    """The page of boot_params leads to another."""
    tables = handoff.page_tables
    handoff.page_tables.protect(ARGUMENT, 4096, tables.access(ARGUMENT) & ~tables.access(0))
    place = next(at for at, _, address in tables._entries(ARGUMENT, ARGUMENT + 1))
    tables._words[place] ^= 0x1000


def another_map(handoff):
    handoff.told = [
        (kind, handoff.at(start), (end - start) >> 12, 15 if number else 7)
        for number, (start, end, kind) in enumerate(handoff.map)
    ]


def beyond(handoff):
    handoff.map.append([MAPPED, MAPPED + 0x1000, MemoryType.ConventionalMemory])


def no_ram_for_initrd(handoff):
    handoff.initrd[0] = handoff.at(MAPPED) - 0x800


def far_initrd(handoff):
    handoff.ram.write(FAR, bytes(handoff.ram.view(*handoff.initrd)))
    handoff.initrd[0] = FAR
    handoff.map.append([FAR - handoff.base, FAR - handoff.base + 0x1_0000, MemoryType.LoaderData])


def line_in_boot_params(handoff):
    line = bytes(handoff.ram.view(handoff.at(0x50_1000), 20))
    handoff.ram.write(ARGUMENT + 0xF00, line)
    handoff.poke(ARGUMENT + 0x228, "<I", ARGUMENT + 0xF00)


def initrd_on_system_table(handoff):
    """Whose memory may hold an initrd as well."""
    handoff.initrd[:] = [handoff.at(SYSTEM_TABLE), 16]
    handoff.given = hashlib.sha256(handoff.ram.view(*handoff.initrd)).hexdigest()


def free_table(handoff):
    handoff.tables[SMBIOS3_TABLE] = handoff.at(END) + 16


def e820_type(_handoff):
    """The type of its second entry, once it is written."""
    return lambda state: state["boot_params"]["e820"][1].update(type="ACPI NVS")


def misplaced(handoff):
    handoff.tree_at += 4
    handoff.registers[{"aarch64": "x0", "riscv64": "a1", "arm": "r2"}[handoff.architecture]] += 4


def efi_info(**values):
    """Other EFI information than boot_params have."""
    return lambda _handoff: lambda state: state["boot_params"]["efi_info"].update(values)


EVERYWHERE = {
    "in-ram": no_ram_for_initrd,
    "memory-kept": retype(0x50_0000, MemoryType.BootServicesData),
    "no-overlap": initrd_on_system_table,
    "memory-map-order": swapped,
    "memory-map-current": another_map,
    "memory-map-ram": beyond,
    "system-table": poke(SYSTEM_TABLE + 16, "<I", 1),
    "configuration-tables": free_table,
    "initrd-bytes": poke(INITRD, "<B", 1),
    "command-line": attributes(options="quiet\0".encode("utf-16-le")),
}
KERNELS = {"kernel-bytes": poke(KERNEL + 0x1200, "<Q", 1)}
X86 = {
    **EVERYWHERE,
    **KERNELS,
    "segments": register("ds", 0x10),
    "identity-map": elsewhere,
    "boot-params": poke(ARGUMENT + 0x210, "<B", 0),
    "memory-map-form": attributes(version=2),
    "e820": e820_type,
    "screen": poke(ARGUMENT + 0x12, "<H", 801),
    "no-overlap": line_in_boot_params,
}
TREE = {**EVERYWHERE, "device-tree": misplaced, "memory-map-form": attributes(chosen={"linux,uefi-mmap-desc-ver": 2})}
BROKEN = {
    "x86_64": {
        **X86,
        "cpu-mode": register("efer", 0xC00),
        "interrupts-masked": register("rflags", 0x202),
        "kernel-aligned": attributes(kernel=bzimage(alignment=0x100_0000)),
    },
    "i386": {
        **X86,
        "segments": register("ds", 0x10 | 4),
        "cpu-mode": register("cr0", 0x8001_0032),
        "interrupts-masked": register("eflags", 0x202),
        "kernel-aligned": attributes(kernel=bzimage(bzimage(wide=False).data[512:], wide=False, alignment=0x100_0000)),
    },
    "aarch64": {
        **TREE,
        **KERNELS,
        "exception-level": register("pstate", 0x3CD),
        "interrupts-masked": register("pstate", 0x345),
        "x1-to-x3-zero": register("x2", 1),
        "mmu-and-cache": register("sctlr_el1", 0x30D0_180C),
        "kernel-aligned": None,
        "initrd-near-kernel": far_initrd,
        "chosen": attributes(chosen={"linux,uefi-mmap-desc-ver": None}),
    },
    "riscv64": {
        **TREE,
        **KERNELS,
        "satp-zero": register("satp", 9 << 60),
        "interrupts-masked": register("sstatus", 2),
        "boot-hart": attributes(chosen={"boot-hartid": 3}),
        "kernel-aligned": None,
        "chosen": attributes(chosen={"linux,uefi-mmap-size": None}),
    },
    "arm": {
        **TREE,
        "cpu-mode": register("cpsr", 0x153),
        "mmu-and-cache": register("sctlr", 0xC5_1879),
        "r0-zero": register("r0", 1),
        "kernel-aligned": attributes(kernel=zimage(text_offset=TEXT_OFFSET + 0x1000)),
        "kernel-bytes": poke(KERNEL + TEXT_OFFSET + 0x1200, "<Q", 1),
        "chosen": attributes(chosen={"linux,uefi-mmap-desc-size": None}),
    },
}


def failed(verdicts):
    return {name: each.sentence for name, each in verdicts.items() if each.outcome is Outcome.FAILED}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_good_hand_off_keeps_all_rules(architecture):
    verdicts = HandOff(architecture).judge()
    assert {name: str(each) for name, each in verdicts.items() if each.outcome is not Outcome.OK} == {}
    assert list(verdicts) == [each.name for each in RULES if architecture in each.architectures]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_rule_is_broken_by_a_test(architecture):
    rules = {each.name for each in RULES if architecture in each.architectures}
    assert rules == set(BROKEN[architecture])


@pytest.mark.parametrize(
    ("architecture", "rule"),
    [(machine, rule) for machine, rules in BROKEN.items() for rule, change in rules.items() if change is not None],
)
def test_a_broken_rule_is_the_one_that_fails(architecture, rule):
    handoff = HandOff(architecture)
    after = BROKEN[architecture][rule](handoff)
    verdicts = handoff.judge(after or (lambda _state: None))
    assert list(failed(verdicts)) == [rule], failed(verdicts)


@pytest.mark.parametrize("architecture", ["aarch64", "riscv64"])
def test_a_plain_image_lies_at_a_multiple_of_its_alignment(architecture):
    handoff = HandOff(architecture)
    handoff.ram.write(handoff.at(KERNEL) + 0x1000, handoff.kernel.data)
    handoff._entry += 0x1000
    assert list(failed(handoff.judge())) == ["kernel-aligned"]


@pytest.mark.parametrize(
    ("change", "rule", "why"),
    [
        (register("rsi", 0), "boot-params", "RSI leads to no boot_params"),
        (register("rsi", FAR + 0x1_0000), "boot-params", "RSI leads to no boot_params"),
        (register("cr0", 0x33), "cpu-mode", "long mode is not on"),
        (register("cs", 0x30), "segments", "CS, 0x30, is no code segment"),
        (register("cs", 0x10), "segments", "another width"),
        (register("cs", 0x48), "segments", "CS, 0x48, is no code segment"),
        (register("ss", 0x38), "segments", "SS, 0x38, is no writable segment"),
        (poke(0x60_2000 + 0x30, "<Q", 0x00C0_9300_0000_FFFF), "segments", "not flat"),
        (register("cr3", FAR), "identity-map", "is not mapped"),
        (attributes(initrd=[INITRD, 0]), "initrd-bytes", "the kernel finds none"),
        (attributes(given=""), "initrd-bytes", "the firmware handed none out"),
        (poke(SETUP_DATA, "<QII", FAR + 0x2_0000, 8, 4), "in-ram", "setup_data at 0x4040020000"),
        (poke(SETUP_DATA, "<QII", SETUP_DATA, 8, 4), "no-overlap", "setup_data at 0x506000"),
        (poke(SYSTEM_TABLE, "<I", 1), "system-table", "signature"),
        (poke(SYSTEM_TABLE + 96, "<Q", 1), "system-table", "boot services or a console"),
        (efi_info(system_table=8), "system-table", "0x8"),
        (poke(ARGUMENT + 0xF, "<B", 0), "screen", "is not told of the framebuffer at 0x800000"),
        (poke(ARGUMENT + 0x18, "<I", 0x1000), "screen", "lfb_base is 0x1000 in place of 0x800000"),
        (poke(ARGUMENT + 0x3A, "<I", 1), "screen", "ext_lfb_base is 0x1 in place of 0x0"),
        (poke(ARGUMENT + 0x24, "<H", 3199), "screen", "lfb_linelength"),
        (attributes(screen=None), "screen", "told of an EFI framebuffer, and there is none"),
        (efi_info(descriptor_size=44), "memory-map-form", "44"),
        (efi_info(memory_map_size=49), "memory-map-form", "49"),
    ],
)  # fmt: skip
def test_other_ways_to_break_a_rule(change, rule, why):
    handoff = HandOff("x86_64")
    handoff.poke(SETUP_DATA, "<QII", 0, 8, 4)
    handoff.poke(ARGUMENT + 0x250, "<Q", SETUP_DATA)
    after = change(handoff)
    assert why in failed(handoff.judge(after or (lambda _state: None)))[rule]


def test_more_e820_entries_than_boot_params_have_room_for_are_in_setup_data():
    handoff = HandOff("x86_64")
    last = {}

    def move(state):
        last.update(state["boot_params"]["e820"].pop())

    assert list(failed(handoff.judge(move))) == ["e820"]
    handoff.poke(SETUP_DATA, "<QIIQQI", 0, 1, 20, last["start"], last["size"], 1)
    handoff.poke(ARGUMENT + 0x250, "<Q", SETUP_DATA)

    def move_again(state):
        state["boot_params"]["e820"].pop()
        state["boot_params"]["fields"]["e820_entries"] -= 1

    assert failed(handoff.judge(move_again)) == {}


def test_an_arm64_kernel_may_start_without_mmu():
    handoff = HandOff("aarch64")
    handoff.registers["sctlr_el1"] = 0x30D0_0800
    assert handoff.judge()["mmu-and-cache"].outcome is Outcome.OK
    handoff.registers["sctlr_el1"] = 0x30D0_180D
    handoff.registers["ttbr0_el1"] = handoff.at(ARGUMENT)
    assert "mmu-and-cache" in failed(handoff.judge())


def test_a_command_line_that_is_cut():
    handoff = HandOff("x86_64")
    handoff.options = ("console=ttyS0 quiet " + "x" * 3000).encode("utf-16-le")
    assert "cut" in handoff.judge()["command-line"].sentence
    handoff.options = "console=ttyS0 quiet \0".encode("utf-16-le")
    assert list(failed(handoff.judge())) == ["command-line"]
    handoff.options = "console=ttyS0 quiet\nrest".encode("utf-16-le")
    assert failed(handoff.judge()) == {}


def test_what_is_not_known_is_not_judged():
    handoff = HandOff("x86_64")
    handoff.kernel = handoff.options = handoff.given = None
    verdicts = handoff.judge()
    not_judged = {name for name, each in verdicts.items() if each.outcome is Outcome.NOT_APPLICABLE}
    assert not_judged == {"kernel-aligned", "kernel-bytes", "initrd-bytes", "command-line"}
    assert failed(verdicts) == {}


def test_a_machine_without_a_screen():
    handoff = HandOff("x86_64")
    handoff.screen = None
    handoff.poke(ARGUMENT + 0xF, "<B", 0)
    assert handoff.judge()["screen"].outcome is Outcome.NOT_APPLICABLE


def test_a_kernel_whose_file_is_damaged_should_not_have_been_started():
    """Linux's unpackers do not look at gzip's checksum."""
    handoff = HandOff("x86_64")
    packed = bytearray(gzip.compress(bytes(1000)))
    packed[-8] ^= 1
    handoff.kernel = bzimage(bytes(packed), "gzip")
    found = failed(handoff.judge())
    assert list(found) == ["kernel-bytes"]
    assert "its gzip data is damaged" in found["kernel-bytes"]


def test_verdicts_can_be_kept():
    verdicts = list(HandOff("x86_64").judge().values())
    assert from_json(json.loads(to_json(verdicts))) == verdicts
    for damaged in (None, [1], [{}], {"rule": 1}, [{"rule": "a", "outcome": "maybe", "sentence": ""}]):
        with pytest.raises(ValueError, match=r"."):
            from_json(damaged)


_HANDOFFS = {each: HandOff(each) for each in ("x86_64", "aarch64")}
_SPANS = {
    "x86_64": (ARGUMENT, SETUP_DATA, MAP, SYSTEM_TABLE, 0x60_2000, 0x60_4000),
    "aarch64": (ARGUMENT, MAP, 0x60_4000),
}
_NUMBERS = st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from([0, 1, MAPPED, FAR, FAR + 0x1_0000, (1 << 64) - 1]))


@given(
    st.sampled_from(sorted(_HANDOFFS)),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 0x3FF), _NUMBERS), max_size=8),
    st.lists(st.tuples(st.integers(0, 40), _NUMBERS), max_size=4),
)
@settings(deadline=None, max_examples=60, database=None)
def test_whatever_a_guest_leaves_gets_a_verdict(architecture, words, registers):
    handoff = _HANDOFFS[architecture]
    before, places = dict(handoff.registers), []
    try:
        for number, value in registers:
            handoff.registers[sorted(before)[number % len(before)]] = value
        found = handoff.collect()
        for span, at, value in words:
            place = handoff.at(_SPANS[architecture][span % len(_SPANS[architecture])] + 4 * at)
            places.append((place, bytes(handoff.ram.view(place, 8))))
            handoff.ram.write(place, struct.pack("<Q", value))
        found |= (x86 if architecture == "x86_64" else arm64).collect(handoff.ram, handoff.registers)
        verdicts = judge(found, handoff.ram, Given(handoff.kernel, 0, handoff.options, handoff.given))
        assert all(each.sentence for each in verdicts)
    finally:
        for place, data in reversed(places):
            handoff.ram.write(place, data)
        handoff.registers = before
