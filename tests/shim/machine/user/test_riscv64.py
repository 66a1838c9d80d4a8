"""User mode of RISC-V: what traps, what is done for it, and what can't be done."""

import struct

import pytest

from shim.machine.riscv64 import RISCV64
from shim.machine.user.riscv64 import RISCV64_USER

HALTED = "the CPU was halted for good"
WFI = 0x1050_0073


def program(*words):
    return struct.pack(f"<{len(words)}I", *words)


@pytest.fixture
def user(make_guest):
    return make_guest(architecture=RISCV64, user_mode=RISCV64_USER)


def test_it_begins_in_u_mode(user, make_guest):
    guest = make_guest(architecture=RISCV64)
    assert (user.priv, guest.priv) == (0, 1)
    assert user.machine.handoff_registers() == guest.machine.handoff_registers()
    user.machine.mask_interrupts()
    assert user.priv == 0
    guest.machine.mask_interrupts()
    assert user.machine.handoff_registers() == guest.machine.handoff_registers()


def test_u_mode_is_real(user):
    """Without the bit for user mode in the page tables nothing can be fetched."""
    user.machine.leave_user_mode()
    assert "page fault" in user.run(program(WFI)).detail


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        ((0x1000_2573,), "read of sstatus"),  # csrr a0, sstatus
        ((0x1001_7573,), "write of sstatus"),  # csrrci a0, sstatus, 2
        ((0x04D0_0513, 0x1405_1073, 0x1400_25F3), "write of sscratch,read of sscratch"),  # li a0, 77; csrw; csrr a1
        ((0x1400_E573, 0x1401_75F3, 0x1400_2673), "write of sscratch,write of sscratch,read of sscratch"),  # csrrsi…
        ((0x1800_2573, 0x1805_1073), "read of satp,write of satp"),  # csrr a0, satp; csrw satp, a0
        ((0x1800_1073, 0x0070_0513), "write of satp"),  # csrw satp, zero; li a0, 7
        ((0x1200_0073,), "sfence.vma"),
        ((0xC020_2573,), ""),  # rdinstret a0: a user may
        ((0x0000_100F,), ""),  # fence.i
    ],
)
def test_it_comes_to_the_same(make_guest, code, kinds):
    """S-mode is the judge."""
    found = []
    for mode in (RISCV64_USER, None):
        guest = make_guest(architecture=RISCV64, user_mode=mode)
        # To a gate, at which both stop: WFI is told of in another way.
        guest.enter = lambda _address: (_ for _ in ()).throw(EOFError)
        with pytest.raises(EOFError):
            guest.run(program(*code, 0x0050_05B7, 0x0005_8067))  # lui a1, 0x500; jr a1
        guest.machine.leave_user_mode()
        found.append((guest.machine.handoff_registers(), guest.ram.digest()))
        if mode:
            assert ",".join(each.name for each in guest.performed) == kinds
            assert guest.priv == 0
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ((0x0010_0513, 0x1805_1073), "page tables of the payload's own"),  # li a0, 1; csrw satp, a0
        ((0x1020_0073,), "not in the model"),  # sret
        ((0x3020_0073,), "not in the model"),  # mret
        ((0x3000_2573,), "not in the model"),  # csrr a0, mstatus
    ],
)
def test_what_it_can_not_do_ends_the_run_by_name(user, code, why):
    stop = user.run(program(*code))
    assert stop.kind == "fault"
    assert stop.detail.startswith("privileged instruction ")
    assert why in stop.detail
    assert user.performed[-1].meaning.startswith("not performed: ")


def test_a_wait_is_for_good(user):
    stop = user.run(program(WFI))
    assert stop.detail.startswith(HALTED)
    assert [each.name for each in user.performed] == ["wfi"]


def test_what_is_no_instruction_is_a_fault(user):
    stop = user.run(program(0xB))
    assert (stop.kind, user.performed) == ("fault", [])
    assert "illegal instruction" in stop.detail


def test_the_sbi_is_called_as_ever(user, places):
    # li a7, 0x10; li a6, 0; ecall; wfi
    assert user.run(program(0x0100_0893, 0x0000_0813, 0x0000_0073, WFI)).detail.startswith(HALTED)
    assert (user.a0, user.a1) == (0, 2 << 24)
