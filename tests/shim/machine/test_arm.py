"""The 32-bit Arm CPU in Supervisor mode: its start state, both instruction sets, and its exceptions.

Programs know the places in conftest.py: code at 0x200000, data at 0x300000, a gate at 0x500000.
"""

import struct

import pytest

from efi_services.ports import Access
from shim.machine.arm import ARM, CPU_MODELS, TICK_NS
from shim.machine.machine import COUNTER_READ_NS
from shim.machine.paging import PAGE

HALTED = "the CPU was halted for good"

WFI, NOP, UDF, SVC, BKPT = 0xE320F003, 0xE320F000, 0xE7F000F0, 0xEF000000, 0xE1200070
BX_R0, BLX_R0 = 0xE12FFF10, 0xE12FFF30


def code(*words):
    """Instructions of A32 as they lie in memory."""
    return struct.pack(f"<{len(words)}I", *words)


def thumb(*halves):
    """Instructions of T32."""
    return struct.pack(f"<{len(halves)}H", *halves)


def mov(register, value):
    """movw and movt: R*register* = *value*."""
    return [
        (0xE3000000 if at == 0 else 0xE3400000) | (part >> 12) << 16 | register << 12 | part & 0xFFF
        for at, part in ((0, value & 0xFFFF), (1, value >> 16))
    ]


def read_from(address):
    """mov r0, address; ldrb r1, [r0]; wfi."""
    return code(*mov(0, address), 0xE5D01000, WFI)


def write_to(address):
    """mov r0, address; mov r1, #0x5a; strb r1, [r0]; wfi."""
    return code(*mov(0, address), 0xE3A0105A, 0xE5C01000, WFI)


def jump_to(address):
    """mov r0, address; bx r0."""
    return code(*mov(0, address), BX_R0)


def is_halted(stop):
    return stop.kind == "fault" and stop.detail.startswith(HALTED)


@pytest.fixture
def guest(make_guest):
    return make_guest(architecture=ARM)


# The start state.


@pytest.mark.parametrize("cpu", CPU_MODELS)
def test_the_state_at_the_start(make_guest, places, cpu):
    guest = make_guest(cpu, architecture=ARM)
    registers = guest.machine.handoff_registers()
    assert registers["sctlr"] & 0x1805 == 0x1805  # I, Z, C, M
    assert registers["sctlr"] & 2 == 0  # A: unaligned accesses are allowed
    assert registers["ttbr0"] == guest.layout.page_tables
    assert registers["ttbcr"] >> 31 == 1  # long descriptors
    assert registers["ttbcr"] & 7 == 0  # TTBR0 for all addresses
    assert registers["cpsr"] & 0x1F == 0x13  # Supervisor mode
    assert registers["cpsr"] & 0x20 == 0  # A32
    assert registers["cpsr"] & 0x80 == 0  # interrupts on
    assert registers["sp"] == places.stack


def test_it_has_a_program_of_both_instruction_sets(guest, places):
    """From A32 to T32 and back, by the lowest bit of an address."""
    # movs r1, #7; bx lr
    guest.put(thumb(0x2107, 0x4770), places.data, Access.RX)
    assert is_halted(guest.run(code(*mov(0, places.data + 1), BLX_R0, 0xE3A02009, WFI)))  # mov r2, #9
    assert (guest.r1, guest.r2, guest.cpsr & 0x20) == (7, 9, 0)


def test_it_goes_on_in_the_instruction_set_in_which_it_was_looked_at(guest, places):
    # 1: subs r1, #1; bne 1b; movs r2, #9; wfi
    guest.put(thumb(0x3901, 0xD1FD, 0x2209, 0xBF30), places.data, Access.RX)
    looks = []
    stop = guest.run(code(*mov(1, 1000), *mov(0, places.data + 1), BX_R0), poll=lambda: looks.append(1), look_every=100)
    assert is_halted(stop)
    assert (guest.r1, guest.r2, len(looks)) == (0, 9, 10)


def test_a_gate_is_entered_from_both_and_returns_to_both(guest, places):
    guest.enter = lambda _address: guest.machine.write({"r1": guest.r1 + 1})
    # push {lr}; blx r0; pop {pc}
    guest.put(thumb(0xB500, 0x4780, 0xBD00), places.data, Access.RX)
    program = code(*mov(1, 5), *mov(0, places.gate), BLX_R0, *mov(4, places.data + 1), 0xE12FFF34, WFI)  # blx r4
    assert is_halted(guest.run(program))
    assert (guest.r1, guest.calls) == (7, [places.gate, places.gate])


def test_the_firmware_sends_it_to_functions_of_both(guest, places):
    """As the dispatcher does: the address that it writes tells the instruction set."""
    guest.put(thumb(0x2107, 0xBF30), places.data, Access.RX)  # movs r1, #7; wfi
    guest.enter = lambda _address: guest.machine.write({"pc": places.data + 1})
    assert is_halted(guest.run(jump_to(places.gate)))
    assert (guest.r1, guest.cpsr >> 5 & 1) == (7, 1)


def test_interrupts_can_be_masked(guest):
    guest.machine.mask_interrupts()
    assert guest.cpsr & 0x1C0 == 0x1C0
    assert guest.cpsr & 0x1F == 0x13


def test_floating_point_does_not_trap(guest):
    assert is_halted(guest.run(code(0xEE001A10, 0xF2200150, WFI)))  # vmov s0, r1; vorr q0, q0, q0


def test_unaligned_accesses_are_allowed(guest, places):
    guest.ram.write(places.data, bytes(range(8)))
    assert is_halted(guest.run(code(*mov(0, places.data + 1), 0xE5901000, WFI)))  # ldr r1, [r0]
    assert guest.r1 == 0x04030201


# Exceptions.


@pytest.mark.parametrize(
    ("word", "what"), [(UDF, "undefined instruction"), (SVC, "supervisor call"), (BKPT, "breakpoint")]
)
def test_exceptions_are_named(guest, word, what):
    stop = guest.run(code(NOP, word, WFI))
    assert stop.kind == "fault"
    assert stop.detail.startswith(what)


@pytest.mark.parametrize(
    ("access", "make", "what"),
    [
        (Access.READ, read_from, None),
        (Access.READ, write_to, "data abort, write to {at:#x}, which is read-only"),
        (Access.READ, jump_to, "prefetch abort, fetch from {at:#x}, which is not executable"),
        (Access.RW, read_from, None),
        (Access.RW, write_to, None),
        (Access.RW, jump_to, "prefetch abort, fetch from {at:#x}, which is not executable"),
        (Access.RX, read_from, None),
        (Access.RX, write_to, "data abort, write to {at:#x}, which is read-only"),
        (Access.RX, jump_to, None),
        (Access.RWX, write_to, None),
        (Access.RWX, jump_to, None),
        (Access.NONE, read_from, "data abort, access to {at:#x}, which is a guard page"),
        (Access.NONE, write_to, "data abort, access to {at:#x}, which is a guard page"),
        (Access.NONE, jump_to, "prefetch abort, fetch from {at:#x}, which is not executable"),
    ],
)
def test_what_pages_allow(guest, places, access, make, what):
    at = places.data
    before = code(WFI)
    guest.ram.write(at, before)
    guest.tables.protect(places.data, PAGE, access)
    stop = guest.run(make(at))
    if what is None:
        assert is_halted(stop)
    else:
        assert stop.detail == f"{what.format(at=at)}, pc {stop.pc:#x}"
    changed = what is None and make is write_to
    assert guest.ram.read(at, 4) == (b"\x5a" + before[1:] if changed else before)


@pytest.mark.parametrize("address", [0, PAGE - 4, 0x7000_0000, 0xFFFF_F000])
@pytest.mark.parametrize(
    ("make", "verb"),
    [
        (read_from, "data abort, access to"),
        (write_to, "data abort, access to"),
        (jump_to, "prefetch abort, fetch from"),
    ],
)
def test_what_is_no_memory_faults(guest, address, make, verb):
    stop = guest.run(make(address))
    assert stop.detail == f"{verb} {address:#x}, which is no memory, pc {stop.pc:#x}"


def test_what_has_to_be_aligned(guest, places):
    stop = guest.run(code(*mov(0, places.data + 1), 0xE1901F9F, WFI))  # ldrex r1, [r0]
    assert stop.kind == "fault"
    assert stop.detail.startswith(f"data abort (alignment) at {places.data + 1:#x}")


# Time.

CNTPCT, CNTVCT, CNTV_TVAL, PMCCNTR = 0xEC510F0E, 0xEC510F1E, 0xEE1E0F13, 0xEE190F1D
#: Registers of the same coprocessor whose values are the CPU's own: MIDR, SCTLR, CNTFRQ, and CNTV_CVAL.
QUIET = (0xEE100F10, 0xEE110F10, 0xEE1E0F10, 0xEC510F3E)


def into(word, first, second=0):
    """The same read, into other registers."""
    return word & ~0xF_F000 | (word & 0xF_0000 if word == PMCCNTR else second << 16) | first << 12


@pytest.mark.parametrize("cpu", CPU_MODELS)
def test_the_counters_are_virtual_time(make_guest, cpu):
    guest = make_guest(cpu, architecture=ARM)
    offset = guest.machine.monitor.tsc_offset
    reads = (into(CNTVCT, 2, 3), into(CNTPCT, 4, 14), into(PMCCNTR, 6), 0xEE1E7F10)  # CNTFRQ into r7
    assert is_halted(guest.run(code(NOP, *reads, WFI)))
    found = [guest.r3 << 32 | guest.r2, guest.lr << 32 | guest.r4]
    assert found == [(offset + n * COUNTER_READ_NS) // TICK_NS for n in (1, 2)]
    assert guest.r6 == (offset + 3 * COUNTER_READ_NS) % (1 << 32)
    assert guest.r7 * TICK_NS == 1_000_000_000
    assert guest.machine.clock.now == 3 * COUNTER_READ_NS
    assert (guest.machine.monitor.tsc_reads, guest.machine.monitor.host_reads) == (3, 0)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("jump", [False, True])
def test_a_loop_that_waits_for_the_counter(guest, places, narrow, jump):
    """In A32 and in T32, in the first block of all and in a later one: a hundred reads; nothing else is changed."""
    a32 = code(0xE3A07064, CNTVCT, 0xE2577001, 0x1AFFFFFC, WFI)  # mov r7, #100; subs r7, #1; bne
    t32 = thumb(0x2764, CNTVCT >> 16, CNTVCT & 0xFFFF, 0x3F01, 0xD1FB, 0xBF30)
    guest.put(t32 if narrow else a32, places.data, Access.RX)
    if jump:
        stop = guest.run(jump_to(places.data | narrow))
    else:
        guest.machine.write({"pc": places.data | narrow})
        stop = guest.run()
    assert is_halted(stop)
    assert (guest.machine.clock.now, guest.machine.monitor.host_reads) == (100 * COUNTER_READ_NS, 0)
    assert guest.r7 == 0


@pytest.mark.parametrize(
    ("condition", "held"),
    [(0, 1), (1, 0), (2, 1), (3, 0), (4, 0), (5, 1), (6, 0), (7, 1), (8, 0), (9, 1), (10, 1), (11, 0), (12, 0),
     (13, 1), (14, 1)],
)  # fmt: skip
def test_a_read_on_a_condition(guest, condition, held):
    """cmp r0, r0: Z and C are set, N and V are not."""
    assert is_halted(guest.run(code(0xE1500000, CNTVCT & 0x0FFF_FFFF | condition << 28, WFI)))
    assert guest.machine.clock.now == held * COUNTER_READ_NS


def test_code_that_becomes_something_else(guest, places):
    """A read of a counter is called, overwritten and called again."""
    guest.put(code(CNTVCT, 0xE12FFF1E), places.data, Access.RWX)  # bx lr
    call = [*mov(5, places.data), 0xE12FFF35]  # blx r5
    patch = [*mov(6, 0xE3A0002A), 0xE5856000, 0xF57FF04F, 0xEE070F15, 0xF57FF06F]  # str r6, [r5]; dsb; iciallu; isb
    assert is_halted(guest.run(code(*call, *patch, *call, WFI)))
    assert guest.r0 == 42
    assert guest.machine.clock.now == COUNTER_READ_NS


def test_more_reads_than_can_be_answered(guest):
    """The others are the host's, and noted."""
    assert is_halted(guest.run(code(*[CNTVCT] * 64, WFI)))
    assert guest.machine.monitor.host_reads == 0
    assert is_halted(guest.run(code(*[NOP] * 100, CNTVCT, WFI)))
    assert guest.machine.monitor.host_reads == 1


@pytest.mark.parametrize("word", [CNTV_TVAL, into(PMCCNTR, 15), into(CNTVCT, 0, 13)])
def test_reads_that_nobody_answers(guest, word):
    guest.run(code(word, WFI))
    assert guest.machine.monitor.host_reads == 1


def test_a_read_within_an_it_block_is_the_hosts(guest, places):
    """itt eq; a nop and the read."""
    guest.put(thumb(0xBF04, 0xBF00, CNTVCT >> 16, CNTVCT & 0xFFFF, 0xBF30), places.data, Access.RX)
    guest.run(jump_to(places.data | 1))
    assert guest.machine.monitor.host_reads == 1


@pytest.mark.parametrize("word", [CNTV_TVAL])
@pytest.mark.parametrize("jump", [False, True])
@pytest.mark.parametrize("narrow", [False, True])
def test_a_read_of_the_hosts_clock_is_noted(guest, places, word, jump, narrow):
    """In the first block or a later one, in A32 and in T32 behind an instruction of one half."""
    halves = thumb(0xBF00, word >> 16, word & 0xFFFF, 0xBF30)  # nop; ...; wfi
    guest.put(halves if narrow else code(NOP, word, WFI), places.data, Access.RX)
    at = places.data | narrow
    if jump:
        guest.run(jump_to(at))
    else:
        guest.machine.write({"pc": at})
        guest.run()
    assert guest.machine.monitor.host_reads == 1


@pytest.mark.parametrize("word", QUIET)
def test_other_reads_are_not(guest, word):
    assert is_halted(guest.run(code(word, *mov(0, 5), WFI)))
    assert guest.machine.monitor.host_reads == 0


def test_what_looks_like_one_across_two_instructions_is_none(guest, places):
    # movw r1, #0xec51: its second half and the next instruction's first are no instruction.
    guest.put(thumb(0xF64E, 0x4151, 0xBF00, 0xBF30), places.data, Access.RX)
    assert is_halted(guest.run(jump_to(places.data + 1)))
    assert guest.machine.monitor.host_reads == 0
