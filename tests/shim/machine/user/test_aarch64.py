"""User mode of AArch64: what traps, what is done for it, and what can't be done."""

import struct

import pytest

from shim.machine.aarch64 import AARCH64, AArch64
from shim.machine.user.aarch64 import AARCH64_USER

#: brk #0, which ends a run at any level.
BREAK = 0xD420_0000


def program(*words):
    return struct.pack(f"<{len(words) + 1}I", *words, BREAK)


@pytest.fixture
def user(make_guest):
    return make_guest(architecture=AARCH64, user_mode=AARCH64_USER)


def test_it_begins_at_el0(user, arm_guest):
    assert (user.pstate & 0xF, arm_guest.pstate & 0xF) == (0, 5)
    assert user.sp == arm_guest.sp
    assert user.machine.handoff_registers() == arm_guest.machine.handoff_registers()
    for each in (user, arm_guest):
        each.machine.mask_interrupts()
    assert user.machine.handoff_registers() == arm_guest.machine.handoff_registers()


def test_el0_is_real(user):
    """Without the bit for EL0 in the page tables it may execute, but neither read nor write."""
    user.machine.leave_user_mode()
    # mov x0, #0x300000; ldr x1, [x0, #8]
    assert "data abort" in user.run(program(0xD2A0_0600, 0xF940_0401)).detail


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        ((0xD538_4240,), "mrs currentel"),
        ((0xD538_1000,), "mrs sctlr_el1"),
        ((0xD53B_0020,), "mrs ctr_el0"),
        ((0xD538_0000,), "mrs midr_el1"),
        ((0xD538_0700,), "mrs id_aa64mmfr0_el1"),
        ((0xD538_2000,), "mrs ttbr0_el1"),
        ((0xD538_A200, 0xD518_A200), "mrs mair_el1,msr mair_el1"),
        ((0xD538_2000, 0xD518_2000), "mrs ttbr0_el1,msr ttbr0_el1"),
        ((0xD28A_CF00, 0xD518_D080), "msr tpidr_el1"),  # mov x0, #0x5678; msr tpidr_el1, x0
        # mrs x0, sctlr_el1; bic x0, x0, #1; msr sctlr_el1, x0; mov x1, #7
        ((0xD538_1000, 0x927F_F800, 0xD518_1000, 0xD280_00E1), "mrs sctlr_el1,msr sctlr_el1"),
        ((0xD503_4FDF,), "msr daifset"),
        ((0xD503_4FDF, 0xD503_42FF), "msr daifset,msr daifclr"),
        ((0xD53B_4220,), "mrs daif"),
        ((0xD51B_423F,), "msr daif"),  # msr daif, xzr
        ((0xD50B_7A20,), "dc cvac"),
        ((0xD50B_7B20,), "dc cvau"),
        ((0xD50B_7E20,), "dc civac"),
        ((0xD508_7640,), "dc isw"),
        ((0xD50B_7520,), "ic ivau"),
        ((0xD508_711F,), "ic ialluis"),
        ((0xD508_871F,), "tlbi vmalle1"),
        # mov x0, #0x300000; str x0, [x0, #8]; dc zva, x0; ldr x1, [x0, #8]
        ((0xD2A0_0600, 0xF900_0400, 0xD50B_7420, 0xF940_0401), "dc zva"),
        ((0xD503_3FDF, 0xD503_3F9F, 0xD503_201F), ""),  # isb; dsb sy; nop
        ((0xD53B_E040,), ""),  # mrs x0, cntvct_el0
    ],
)
def test_it_comes_to_the_same(make_guest, code, kinds):
    """EL1 is the judge."""
    found = []
    for mode in (AARCH64_USER, None):
        guest = make_guest(architecture=AARCH64, user_mode=mode)
        stop = guest.run(program(*code))
        assert stop.detail.startswith("breakpoint"), stop
        guest.machine.leave_user_mode()
        found.append((stop.detail, guest.machine.handoff_registers(), guest.ram.digest()))
        if mode:
            assert ",".join(each.name for each in guest.performed) == kinds
            assert guest.pstate & 0xF == 0
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ((0xD518_2000,), "page tables of the payload's own"),  # msr ttbr0_el1, x0
        ((0xD518_2040,), "page tables of the payload's own"),  # msr tcr_el1, x0
        ((0xD538_4200,), "not in the model"),  # mrs x0, spsel
        ((0xD51C_1100,), "not in the model"),  # msr hcr_el2, x0
        ((0xD508_7800,), "not in the model"),  # at s1e1r, x0
        ((0xD508_7420,), None),  # no instruction
    ],
)
def test_what_it_can_not_do_ends_the_run(user, code, why):
    stop = user.run(program(*code))
    assert stop.kind == "fault"
    if why is not None:
        assert stop.detail.startswith("privileged instruction ")
        assert why in stop.detail


def test_what_is_told_of_the_cpu(make_guest):
    told = AArch64(told={"id_aa64mmfr0_el1": 0x1234})
    guest = make_guest(architecture=told, user_mode=AARCH64_USER)
    # mrs x1, id_aa64mmfr0_el1
    assert guest.run(program(0xD538_0701)).detail.startswith("breakpoint")
    assert guest.x1 == 0x1234
    assert [each.name for each in guest.performed] == ["mrs id_aa64mmfr0_el1"]


def test_caches_are_maintained_in_loops(user):
    # mov x1, #1000; 1: dc cvau, x0; ic ivau, x0; sub x1, x1, #1; cbnz x1, 1b
    stop = user.run(program(0xD280_7D01, 0xD50B_7B20, 0xD50B_7520, 0xD100_0421, 0xB5FF_FFA1))
    assert stop.detail.startswith("breakpoint")
    user.machine.leave_user_mode()
    found = [(each.instruction, each.count, each.meaning.endswith("lets EL0 do it)")) for each in user.performed]
    assert found == [("dc cvau, x0", 1000, True), ("ic ivau, x0", 1000, True)]


def test_more_than_are_counted_at_a_time_are_done_all_the_same(user):
    code = [0xD50B_7B20] * 1000
    assert user.run(program(*code)).detail.startswith("breakpoint")
    user.machine.leave_user_mode()
    assert sum(each.count for each in user.performed) == 1000
    assert len({each.pc for each in user.performed}) == 1000


def test_a_program_that_maintains_for_ever_is_looked_at(user):
    # 1: dc cvau, x0; b 1b
    assert user.run(program(0xD50B_7B20, 0x17FF_FFFF), max_blocks=3000).kind == "budget"


def test_a_wait_is_for_good(user):
    stop = user.run(program(0xD503_207F))
    assert stop.detail.startswith("the CPU was halted for good")


@pytest.mark.parametrize(("place", "access"), [(0x20_0000, "write"), (0x100_0000, "access")])
def test_zeroes_are_written_only_where_it_may(user, place, access):
    """To the code, which is read-only, and behind memory."""
    # mov x0, #place; dc zva, x0
    stop = user.run(program(0xD2A0_0000 | place >> 11, 0xD50B_7420))
    assert stop.detail.startswith(f"data abort, {access} to {place:#x}")
    assert user.performed == []
    assert user.ram.read(0x20_0000, 4) != bytes(4)


def test_a_program_that_zeroes_for_ever_is_looked_at(user):
    # mov x0, #0x300000; 1: dc zva, x0; b 1b
    code = (0xD2A0_0600, 0xD50B_7420, 0x17FF_FFFF)
    assert user.run(program(*code), max_blocks=3000).kind == "budget"
    assert user.run(poll=lambda: "long enough").detail == "long enough"
