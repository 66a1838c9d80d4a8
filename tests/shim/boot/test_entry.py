"""The way to a hand-off's state: which page is the entry page, and what is in it."""

from __future__ import annotations

import re
import struct
from importlib import resources

import pytest

from efi_services.memory_map import MemoryType
from shim.boot import entry
from shim.boot.given import State
from shim.errors import NotRunnableError
from shim.machine import riscv64

CODE, DATA = MemoryType.BootServicesCode, MemoryType.BootServicesData
VALUES = entry.GO + 8
X86 = {
    **dict.fromkeys(("cr0", "cr3", "cr4", "efer"), 0),
    **{name: 0x100 + n for n, name in enumerate(entry._X86_GENERAL)},
    **dict.fromkeys(("ds", "es", "fs", "gs", "ss"), 0x30),
    "cs": 0x38,
    "rflags": 2,
    "gdt_base": 0x9000,
    "gdt_limit": 63,
    "idt_base": 0xA000,
    "idt_limit": 4095,
}


def state(architecture="riscv64", memory_map=((0x8000_1000, 2, CODE),), entry_at=0x9000_0000, **registers):
    """A state with these registers, and no paging."""
    ranges = [{"start": start, "pages": pages, "type": kind} for start, pages, kind in memory_map]
    return State(
        architecture=architecture, entry=entry_at, registers=registers, memory_map=ranges, configuration_tables={},
        system_table=0,
    )  # fmt: skip


def no_memory(_address, _size):
    raise AssertionError("without paging no table is read")


def test_the_offsets_are_those_of_the_programs():
    text = (resources.files("shim.boot.guest") / "entry.h").read_text()
    told = {name: int(value, 16) for name, value in re.findall(r"^#define (\w+) (0x\w+)$", text, re.MULTILINE)}
    assert told == {"GO_ON": entry.GO_ON, "READY": entry.READY, "GO": entry.GO}


@pytest.mark.parametrize(
    ("memory_map", "at"),
    [
        ([(0x8000_1000, 2, CODE)], 0x8000_1000),
        ([(0x8000_0000, 9, DATA), (0x8010_0000, 1, CODE)], 0x8010_0000),
        # The kernel's own page is not overwritten.
        ([(0x9000_0000, 2, CODE)], 0x9000_1000),
    ],
)
def test_a_page_of_code_that_nobody_needs(memory_map, at):
    assert entry.place(state(memory_map=memory_map), no_memory) == at


@pytest.mark.parametrize("memory_map", [[], [(0x8000_0000, 9, DATA)], [(0x9000_0000, 1, CODE)]])
def test_no_such_page(memory_map):
    with pytest.raises(NotRunnableError, match="no page of boot services' code"):
        entry.place(state(memory_map=memory_map), no_memory)


@pytest.mark.parametrize(
    ("page_entry", "found"), [(0x8000_1003, True), (0x8000_1003 | 1 << 63, False), (0x8000_3003, False), (0, False)]
)
def test_the_page_has_to_be_executable_where_it_lies(page_entry, found):
    """With paging, as the tables at the kernel entry have it."""
    tables = {0x1000: 0x2003, 0x2010: 0x3003, 0x3000: 0x4003, 0x4008: page_entry}
    given = state("x86_64", cr0=1 << 31, cr4=1 << 5, efer=0xD00, cr3=0x1000)

    def view(address, _size):
        return memoryview(tables.get(address, 0).to_bytes(8, "little"))

    if found:
        assert entry.place(given, view) == 0x8000_1000
    else:
        with pytest.raises(NotRunnableError):
            entry.place(given, view)


def test_tables_of_an_unknown_form():
    with pytest.raises(NotRunnableError, match="without PAE"):
        entry.place(state("x86_64", cr0=1 << 31, cr4=0, efer=0, cr3=0), no_memory)


def test_a_register_that_is_missing():
    with pytest.raises(NotRunnableError, match="does not tell of register"):
        entry.page(state("x86_64"), 0x1000)


def test_a_pc_is_told_its_registers():
    made = entry.page(state("x86_64", **X86), 0x1000)
    assert len(made) == 4096
    assert made[entry.READY : VALUES] == bytes(16)
    assert struct.unpack_from("<HQ", made, VALUES + 0x20) == (63, 0x9000)
    # What LRETQ and POPFQ find.
    assert struct.unpack_from("<3Q", made, VALUES + 0x68) == (0x1000 + entry.GO_ON, 0x38, 2)
    assert struct.unpack_from("<17Q", made, VALUES + 0x80) == tuple(range(0x100, 0x111))


def test_where_a_program_goes_on_is_in_code():
    """POPFQ."""
    assert entry.page(state("x86_64", **X86), 0x1000)[entry.GO_ON] == 0x9D


@pytest.mark.parametrize("level", [1, 2])
def test_arm64_is_told_its_registers(level):
    names = ("sctlr", "tcr", "mair", "ttbr0", *(("ttbr1", "vbar", "cpacr") if level == 1 else ("hcr", "vbar", "cptr")))
    registers = {f"x{n}": n for n in range(31)} | {"sp": 31, "pc": 32, "pstate": level << 2 | 1, "sctlr_el1": 40}
    registers |= {f"{name}_el{level}": 34 + n for n, name in enumerate(names)}
    values = struct.unpack_from("<42Q", entry.page(state("aarch64", **registers), 0), VALUES)
    expected = [*range(33), level << 2 | 1, *range(34, 41), 40]
    if level == 1:
        expected[41] = 34
    assert list(values) == expected


@pytest.mark.parametrize(("status", "told"), [(0x2000, 0x2100), (0x2002, 0x2120)])
def test_riscv_returns_to_s_mode(status, told):
    registers = {name: n for n, name in enumerate(riscv64.HANDOFF_REGISTERS)} | {"sstatus": status}
    values = struct.unpack_from("<42Q", entry.page(state(**registers), 0), VALUES)
    expected = list(range(42))
    expected[riscv64.HANDOFF_REGISTERS.index("sstatus")] = told
    assert list(values) == expected


@pytest.mark.parametrize("at", [0x3FDF_9000, 0x12_3456_7000])
def test_the_rom_of_a_pc(at):
    made = entry.rom("x86_64", at)
    assert len(made) == 0x1_0000
    assert made[0xFFE8:0xFFF0] == at.to_bytes(8, "little")
    # Its map is an identity map of the ROM, the local APIC and the entry page.
    for address in (0xFFFF_F000, 0xFEE0_0000, at):
        table = entry.ROM_START
        for shift in (39, 30):
            word = int.from_bytes(made[table - entry.ROM_START + 8 * (address >> shift & 511) :][:8], "little")
            assert word & 1
            table = word & -4096
        last = int.from_bytes(made[table - entry.ROM_START + 8 * (address >> 21 & 511) :][:8], "little")
        assert last & -(2 << 20) == address & -(2 << 20)
        assert last & 0x83 == 0x83


def test_the_rom_of_other_machines():
    assert entry.rom("aarch64", 0x4000_1000).endswith(0x4000_1000.to_bytes(8, "little"))
    made = entry.rom("riscv64", 0x8000_1000)
    assert made.startswith(b"\x7fELF")
    assert made.endswith(0x8000_1000.to_bytes(8, "little"))
