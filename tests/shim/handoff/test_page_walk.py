"""Page tables made by the machine, and hostile ones, walked as the CPU would."""

import pytest

from handoffs import FAR, KERNEL, MAPPED, PAGE_TABLES, HandOff
from shim.handoff import page_walk
from shim.handoff.page_walk import UnknownPagingError

WITH_TABLES = ("x86_64", "i386", "aarch64")


def paging(handoff):
    return page_walk.of(handoff.architecture, handoff.registers, handoff.ram.view)


@pytest.mark.parametrize("architecture", WITH_TABLES)
def test_the_machines_own_tables(architecture):
    handoff = HandOff(architecture)
    found = paging(handoff)
    start = handoff.base
    assert found.unlike_identity(start, start + MAPPED) is None
    assert found.unlike_identity(start, start + MAPPED + 1) == start + MAPPED
    assert found.walk(start + KERNEL + 5).physical == start + KERNEL + 5
    assert found.walk(start + KERNEL).executable
    assert not found.walk(start).executable
    assert found.walk(start + MAPPED) is None
    tables = list(found.tables())
    assert len(tables) == len(set(tables))
    assert all(start + PAGE_TABLES <= each < start + MAPPED for each in tables)
    assert page_walk.summary(architecture, handoff.registers, handoff.ram.view) == {
        "on": True,
        "root": found.root,
        "levels": len(found.shifts),
        "tables": len(tables),
    }


@pytest.mark.parametrize(
    ("architecture", "registers"),
    [
        ("x86_64", {"cr0": 0x33}),
        ("aarch64", {"sctlr_el1": 0}),
        ("arm", {}),
        ("riscv64", {}),
    ],
)
def test_no_paging(architecture, registers):
    handoff = HandOff(architecture)
    handoff.registers |= registers
    assert paging(handoff) is None


@pytest.mark.parametrize(
    ("architecture", "registers", "why"),
    [
        ("i386", {"cr4": 0}, "without PAE"),
        ("aarch64", {"tcr_el1": 1 << 14 | 16}, "another form"),
        ("aarch64", {"tcr_el1": 40}, "another form"),
        ("aarch64", {"pstate": 0x3CD}, "EL3"),
        ("aarch64", {"pstate": 0x3C9}, "the registers of EL2 are not known"),
    ],
)
def test_forms_that_are_not_read(architecture, registers, why):
    handoff = HandOff(architecture)
    handoff.registers |= registers
    with pytest.raises(UnknownPagingError, match=why):
        paging(handoff)
    assert why in page_walk.summary(architecture, handoff.registers, handoff.ram.view)["broken"]


def test_five_levels():
    handoff = HandOff("x86_64")
    top = handoff.at(0x10_0000)
    handoff.poke(0x10_0000, "<Q", handoff.registers["cr3"] | 3)
    handoff.registers |= {"cr3": top, "cr4": 0x1668}
    assert paging(handoff).unlike_identity(0, MAPPED) is None
    assert page_walk.summary("x86_64", handoff.registers, handoff.ram.view)["levels"] == 5


def test_tables_that_lead_to_themselves_are_one():
    handoff = HandOff("x86_64")
    for at in range(512):
        handoff.poke(PAGE_TABLES + 8 * at, "<Q", handoff.at(PAGE_TABLES) | 3)
    assert list(paging(handoff).tables()) == [handoff.at(PAGE_TABLES)]
    assert paging(handoff).unlike_identity(0, MAPPED) == 0


def test_tables_that_lead_out_of_memory():
    handoff = HandOff("x86_64")
    handoff.poke(PAGE_TABLES, "<Q", FAR + 0x1_0000 | 3)
    assert paging(handoff).unlike_identity(0, MAPPED) == 0
    broken = page_walk.summary("x86_64", handoff.registers, handoff.ram.view)["broken"]
    assert "0x4040010000, where there is no memory" in broken
