"""The RISC-V CPU in S-mode: its start state, its exceptions, its counters, and the SBI below it.

Programs know the places in conftest.py: code at 0x200000, data at 0x300000, a gate at 0x500000.
"""

import struct

import pytest

from efi_services.ports import Access
from shim.machine import sbi
from shim.machine.machine import COUNTER_READ_NS
from shim.machine.paging import PAGE
from shim.machine.riscv64 import CPU_MODELS, RISCV64, TICK_NS

HALTED = "the CPU was halted for good"
ZERO, RA, T0, A0, A1, A2, A3, A6, A7 = 0, 1, 5, 10, 11, 12, 13, 16, 17
WFI, NOP, ECALL, EBREAK, FENCE_I, SFENCE = 0x10500073, 0x13, 0x73, 0x00100073, 0x100F, 0x12000073
RET = 0x8067
CYCLE, TIME, INSTRET, SSTATUS, SATP = 0xC00, 0xC01, 0xC02, 0x100, 0x180
NO_MEMORY = 0x7000_0000


def code(*words):
    """Instructions as they lie in memory."""
    return struct.pack(f"<{len(words)}I", *words)


def mov(register, value):
    """lui, addi and, where it has more than 32 bits, slli and ori of what is below: *register* = *value*."""

    def small(value):
        low = (value & 0xFFF ^ 0x800) - 0x800
        return [
            (value - low >> 12 & 0xFFFFF) << 12 | register << 7 | 0x37,
            (low & 0xFFF) << 20 | register << 15 | register << 7 | 0x1B,  # addiw
        ]

    words = small(value >> 32)
    for shift in (21, 10, 0):
        words.append(min(11, 32 - 21) << 20 | register << 15 | 1 << 12 | register << 7 | 0x13 if shift else
                     10 << 20 | register << 15 | 1 << 12 | register << 7 | 0x13)  # slli  # fmt: skip
        part = value >> shift & (0x7FF if shift else 0x3FF)
        words.append(part << 20 | register << 15 | 6 << 12 | register << 7 | 0x13)  # ori
    return words


def load(width, to, base, offset=0):
    """lb, lh, lw, ld."""
    return offset << 20 | base << 15 | width << 12 | to << 7 | 0x03


def store(width, value, base, offset=0):
    """sb, sh, sw, sd."""
    return offset >> 5 << 25 | value << 20 | base << 15 | width << 12 | (offset & 31) << 7 | 0x23


def jump(to, base):
    """jalr."""
    return base << 15 | to << 7 | 0x67


def csrr(to, number):
    """Read a control and status register."""
    return number << 20 | 2 << 12 | to << 7 | 0x73


def csrw(number, value):
    """Write one."""
    return number << 20 | value << 15 | 1 << 12 | 0x73


def read_from(address):
    return code(*mov(A0, address), load(0, A1, A0), WFI)


def write_to(address):
    return code(*mov(A0, address), *mov(A1, 0x5A), store(0, A1, A0), WFI)


def jump_to(address):
    return code(*mov(A0, address), jump(ZERO, A0))


def is_halted(stop):
    return stop.kind == "fault" and stop.detail.startswith(HALTED)


@pytest.fixture
def guest(make_guest):
    return make_guest(architecture=RISCV64)


# The start state.


def test_the_state_at_the_start(guest, places):
    registers = guest.machine.handoff_registers()
    assert registers["satp"] == 9 << 60 | guest.layout.page_tables >> 12
    assert registers["sstatus"] >> 13 & 3 != 0  # floating point is on
    assert registers["sstatus"] & 2 == 2  # interrupts are, too
    assert registers["sp"] == places.stack
    assert registers["scounteren"] == 7
    assert guest.priv == 1


@pytest.mark.parametrize("value", [0, 1, 0x7FF, 0x800, 0x1234_5678, 0xFFFF_FFFF, 0x1234_5678_9ABC_DEF0, (1 << 64) - 1])
def test_the_assembler_of_this_file(guest, value):
    assert is_halted(guest.run(code(*mov(A0, value), WFI)))
    assert guest.a0 == value


def test_floating_point_does_not_trap(guest):
    assert is_halted(guest.run(code(0xF2050053, WFI)))  # fmv.d.x ft0, a0


def test_interrupts_can_be_masked(guest):
    guest.machine.mask_interrupts()
    assert guest.sstatus & 2 == 0
    assert guest.sstatus >> 13 & 3 != 0


def test_registers_can_be_set(guest):
    names = ["ra", "gp", "tp", *(f"a{i}" for i in range(8)), *(f"{k}{i}" for k in ("s", "fs") for i in range(12))]
    values = {name: i * 0x0123_4567_89AB_CDEF % (1 << 64) for i, name in enumerate(names)}
    guest.machine.write(values)
    assert list(guest.machine.read(tuple(values))) == list(values.values())


def test_a_call_through_a_gate(guest, places):
    guest.enter = lambda _address: guest.machine.write({"a0": 42})
    assert is_halted(guest.run(code(*mov(A1, places.gate + 16), jump(RA, A1), WFI)))
    assert guest.calls == [places.gate + 16]
    assert guest.a0 == 42


# Exceptions.


@pytest.mark.parametrize(
    ("instruction", "what"),
    [
        (0, "illegal instruction"),
        (csrr(A0, 0x300), "illegal instruction"),  # mstatus
        (csrw(CYCLE, A0), "illegal instruction"),
        (0x30200073, "illegal instruction"),  # mret
        (EBREAK, "breakpoint"),
        (WFI, HALTED),
    ],
)
@pytest.mark.parametrize("access", [Access.RX, Access.RWX])
@pytest.mark.parametrize("before", [1, 2, 5])
def test_exceptions_are_named_with_their_instruction(guest, places, instruction, what, access, before):
    program = code(*[NOP] * before, instruction)
    guest.put(program, access=access)
    stop = guest.run(program)
    assert stop.detail == f"{what}, pc {stop.pc:#x}"
    assert stop.pc == places.code + 4 * before + (4 if instruction == WFI else 0)


@pytest.mark.parametrize("before", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("instruction", "what"),
    [(0x0000, "illegal instruction"), (0x8002, "illegal instruction"), (0x9002, "breakpoint")],
)
def test_exceptions_of_instructions_of_16_bits(guest, places, before, instruction, what):
    """All zeroes, a jump to nowhere, c.ebreak; the first of the page too."""
    stop = guest.run(struct.pack(f"<{before}H2H", *[0x0001] * before, instruction, 0x0001))
    assert stop.detail == f"{what}, pc {places.code + 2 * before:#x}"
    assert stop.pc == places.code + 2 * before


def test_an_atomic_access_that_is_not_aligned(guest, places):
    """Unicorn makes it of a load and a store, and the load comes first."""
    stop = guest.run(code(*mov(A0, places.data + 4), 0x00B5302F, WFI))  # amoadd.d x0, a1, (a0)
    assert stop.kind == "fault"
    assert stop.detail.startswith(f"load address misaligned, {places.data + 4:#x}, pc ")


@pytest.mark.parametrize(
    ("access", "make", "what"),
    [
        (Access.READ, read_from, None),
        (Access.READ, write_to, "store page fault, write to {at:#x}, which is read-only"),
        (Access.READ, jump_to, "instruction page fault, fetch from {at:#x}, which is not executable"),
        (Access.RW, read_from, None),
        (Access.RW, write_to, None),
        (Access.RW, jump_to, "instruction page fault, fetch from {at:#x}, which is not executable"),
        (Access.RX, read_from, None),
        (Access.RX, write_to, "store page fault, write to {at:#x}, which is read-only"),
        (Access.RX, jump_to, None),
        (Access.RWX, read_from, None),
        (Access.RWX, write_to, None),
        (Access.RWX, jump_to, None),
        (Access.NONE, read_from, "load page fault, access to {at:#x}, which is a guard page"),
        (Access.NONE, write_to, "store page fault, access to {at:#x}, which is a guard page"),
        (Access.NONE, jump_to, "instruction page fault, fetch from {at:#x}, which is not executable"),
    ],
)
@pytest.mark.parametrize("offset", [0, PAGE - 4])
def test_what_pages_allow(guest, places, access, make, what, offset):
    at = places.data + offset
    guest.ram.write(at, code(WFI))
    guest.tables.protect(places.data, PAGE, access)
    stop = guest.run(make(at))
    if what is None:
        assert is_halted(stop)
    else:
        assert stop.kind == "fault"
        assert stop.detail == f"{what.format(at=at)}, pc {stop.pc:#x}"
    assert guest.ram.read(at, 1) == (b"\x5a" if what is None and make is write_to else code(WFI)[:1])


@pytest.mark.parametrize("address", [0, 4, PAGE - 4, NO_MEMORY, (1 << 47) - 4, 1 << 47, 0xFFFF_8000_0000_0000])
@pytest.mark.parametrize(
    ("make", "verb"),
    [
        (read_from, "load page fault, access to"),
        (write_to, "store page fault, access to"),
        (jump_to, "instruction page fault, fetch from"),
    ],
)
def test_what_is_no_memory_faults(guest, address, make, verb):
    stop = guest.run(make(address))
    assert stop.kind == "fault"
    assert stop.detail == f"{verb} {address:#x}, which is no memory, pc {stop.pc:#x}"


@pytest.mark.parametrize("make", [read_from, write_to, jump_to])
def test_a_fault_is_told_by_the_instruction_that_did_it(guest, places, make):
    guest.tables.protect(places.data, PAGE, Access.NONE)
    program = make(places.data)
    stop = guest.run(code(*[NOP] * 8) + program)
    last = places.code + 8 * 4 + len(program) - 8
    assert stop.pc == (places.data if make is jump_to else last)


@pytest.mark.parametrize("pages", [1, 2, 5])
def test_faults_are_told_after_pages_were_executed_for_the_first_time(guest, places, pages):
    readonly = places.data + 100 * PAGE
    guest.tables.protect(readonly, PAGE, Access.READ)
    for n in range(pages):
        following = jump_to(places.data + (n + 1) * PAGE) if n + 1 < pages else write_to(readonly)
        guest.put(following, places.data + n * PAGE, Access.RWX)
    stop = guest.run(jump_to(places.data))
    assert stop.detail == f"store page fault, write to {readonly:#x}, which is read-only, pc {stop.pc:#x}"


# Code that changes, and translation that goes off.


def test_code_that_is_written_again(guest, places):
    """sd of `li a2, answer; ret`; fence.i; call; and all of it once more with another answer."""

    def patch_and_call(answer):
        return [
            *mov(A1, RET << 32 | answer << 20 | A2 << 7 | 0x13),
            store(3, A1, A0), FENCE_I, jump(RA, A0),
        ]  # fmt: skip

    guest.put(code(NOP, RET), places.data, Access.RWX)
    keep = A2 << 15 | A3 << 7 | 0x13  # mv a3, a2
    stop = guest.run(code(*mov(A0, places.data), *patch_and_call(1), keep, *patch_and_call(2), WFI))
    assert is_halted(stop)
    assert (guest.a3, guest.a2) == (1, 2)


def test_a_hand_off_with_translation_off(guest, places):
    """As a stub leaves: permissions don't count any more."""
    guest.machine.arm([(places.code, places.code + PAGE)], [])
    guest.put(code(WFI), places.data)
    stop = guest.run(code(*mov(A0, places.data), csrw(SATP, ZERO), jump(ZERO, A0)))
    assert (stop.kind, stop.pc) == ("kernel-entry", places.data)
    assert places.code <= stop.came_from < places.code + PAGE
    assert guest.machine.handoff_registers()["satp"] == 0


# Counters.

COUNTERS = code(csrr(A0, CYCLE), csrr(A1, TIME), csrr(A2, INSTRET), WFI)


@pytest.mark.parametrize("cpu", CPU_MODELS)
def test_the_counters_are_virtual_time(make_guest, cpu):
    guest = make_guest(cpu, architecture=RISCV64)
    offset = guest.machine.monitor.tsc_offset
    assert is_halted(guest.run(COUNTERS))
    nanoseconds = [offset + n * COUNTER_READ_NS for n in (1, 2, 3)]
    assert [guest.a0, guest.a1, guest.a2] == [nanoseconds[0], nanoseconds[1] // TICK_NS, nanoseconds[2]]
    assert guest.machine.clock.now == 3 * COUNTER_READ_NS
    assert guest.machine.monitor.tsc_reads == 3


def test_machines_have_counters_of_their_own(make_guest):
    """Unicorn's table of functions is one for the process."""
    one, two = (make_guest(seed=seed, architecture=RISCV64) for seed in (1, 2))
    for guest in (two, one, two):
        guest.machine.clock.advance(7_000)
        before = guest.machine.clock.now
        guest.run(COUNTERS)
        assert guest.a0 == guest.machine.monitor.tsc_offset + before + COUNTER_READ_NS
    del one
    assert is_halted(two.run(COUNTERS))


# The SBI.


@pytest.mark.parametrize(
    ("extension", "function", "argument", "answer"),
    [
        (sbi.BASE, 0, 0, (sbi.SUCCESS, sbi.SPECIFICATION)),
        (sbi.BASE, 3, sbi.BASE, (sbi.SUCCESS, 1)),
        (sbi.BASE, 3, 0x5449_4D45, (sbi.SUCCESS, 0)),  # TIME
        (sbi.BASE, 4, 0, (sbi.SUCCESS, 0)),
        (sbi.BASE, 7, 0, (sbi.NOT_SUPPORTED, 0)),
        (0x5352_5354, 0, 0, (sbi.NOT_SUPPORTED, 0)),  # SRST
        (1, 0, 65, (sbi.NOT_SUPPORTED, 0)),  # the legacy console
    ],
)
@pytest.mark.parametrize("times", [1, 3])
def test_calls_to_the_sbi(guest, places, extension, function, argument, answer, times):
    asked = []
    guest.machine.asked = asked.append
    once = [*mov(A7, extension), *mov(A6, function), *mov(A0, argument), ECALL]
    assert is_halted(guest.run(code(*once * times, WFI)))
    assert (guest.a0, guest.a1) == (answer[0] % (1 << 64), answer[1])
    assert [(each.pc, each.number, each.function_number, each.arguments[0]) for each in asked] == [
        (places.code + 4 * (n * len(once) - 1), extension, function, argument) for n in range(1, times + 1)
    ]
    assert {(each.error, each.value) for each in asked} == {answer}


# Accesses.


def test_every_access_is_reported_with_its_instruction(guest, places):
    """ld, sw, lbu and an atomic one."""
    seen = []
    guest.machine.watch(lambda *access: seen.append(access), lambda _address, _size: None)
    first = places.code + 4 * len(mov(A0, 0))
    program = code(*mov(A0, places.data), load(3, A1, A0), store(2, A1, A0, 16), load(4, A1, A0, 20), 0x00B5302F, WFI)
    assert is_halted(guest.run(program))
    assert seen == [
        (first, places.data, 8, False),
        (first + 4, places.data + 16, 4, True),
        (first + 8, places.data + 20, 1, False),
        (first + 12, places.data, 8, False),
        (first + 12, places.data, 8, True),
    ]
