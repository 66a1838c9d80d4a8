"""The AArch64 CPU at EL1: its start state, its exceptions, its clock, and what its models promise.

Programs know the places in conftest.py: code at 0x200000, data at 0x300000, a gate at 0x500000.
"""

import struct

import pytest

from efi_services.ports import Access
from shim.machine.aarch64 import AARCH64, CPU_MODELS, ID_REGISTERS, AArch64
from shim.machine.machine import COUNTER_READ_NS
from shim.machine.paging import PAGE

HALTED = "the CPU was halted for good"
#: 62.5 MHz, as QEMU has it.
TICK_NS = 16

WFI, NOP, ISB, DSB = 0xD503207F, 0xD503201F, 0xD5033FDF, 0xD5033F9F
YIELD, WFE = 0xD503203F, 0xD503205F
SVC, HVC, SMC, BRK, UDF, HLT = 0xD4000001, 0xD4000002, 0xD4000003, 0xD4200000, 0, 0xD4400000
BR_X0, RET = 0xD61F0000, 0xD65F03C0
CNTFRQ, CNTPCT, CNTVCT = 0xD53BE000, 0xD53BE020, 0xD53BE040
PMCCNTR = 0xD53B9D00
SCTLR, ID_AA64ISAR0, ID_AA64MMFR0 = 0xD5381000, 0xD5380600, 0xD5380700


def code(*words):
    """Instructions as they lie in memory."""
    return struct.pack(f"<{len(words)}I", *words)


def mov(register, value):
    """movz and three movk: X*register* = *value*."""
    return [
        (0xD2800000 if at == 0 else 0xF2800000) | at << 21 | (value >> 16 * at & 0xFFFF) << 5 | register
        for at in range(4)
    ]


def to(register, source):
    """mrs: X*register* = system register."""
    return source | register


def set_to(target, register):
    """msr, of a register that is given by its mrs."""
    return target & ~(1 << 21) | register


def read_from(address):
    """mov x0, address; ldrb w1, [x0]; wfi."""
    return code(*mov(0, address), 0x39400001, WFI)


def write_to(address):
    """mov x0, address; mov w1, #0x5a; strb w1, [x0]; wfi."""
    return code(*mov(0, address), 0x52800B41, 0x39000001, WFI)


def jump_to(address):
    """mov x0, address; br x0."""
    return code(*mov(0, address), BR_X0)


def is_halted(stop):
    return stop.kind == "fault" and stop.detail.startswith(HALTED)


@pytest.fixture
def guest(arm_guest):
    return arm_guest


# The start state.


def test_the_state_at_the_start(guest, places):
    registers = guest.machine.handoff_registers()
    assert registers["sctlr_el1"] & 0x1005 == 0x1005  # I, C, M
    assert registers["sctlr_el1"] & 2 == 0  # A: unaligned accesses are allowed
    assert registers["ttbr0_el1"] == guest.layout.page_tables
    assert registers["tcr_el1"] & 0x3F == 16  # 48 bits
    assert registers["tcr_el1"] >> 23 & 1 == 1  # EPD1
    assert registers["pstate"] & 0xF == 5  # EL1, with a stack pointer of its own
    assert registers["pstate"] & 0x80 == 0  # interrupts on
    assert registers["sp"] == places.stack
    assert registers["cntfrq_el0"] * TICK_NS == 1_000_000_000


def test_the_firmware_has_page_tables_only(guest):
    ((start, end, memory_type, name),) = guest.layout.own_regions
    assert (start, memory_type, name) == (guest.layout.page_tables, "BootServicesData", "page tables")
    assert guest.tables.end <= end


def test_it_is_at_el1(guest):
    guest.run(code(to(0, 0xD5384240), WFI))  # mrs x0, CurrentEL
    assert guest.x0 == 1 << 2


def test_floating_point_does_not_trap(guest):
    assert is_halted(guest.run(code(0x9E670000, WFI)))  # fmov d0, x0


def test_unaligned_accesses_are_allowed(guest, places):
    guest.ram.write(places.data, bytes(range(16)))
    assert is_halted(guest.run(code(*mov(0, places.data + 1), 0xF9400001, WFI)))  # ldr x1, [x0]
    assert guest.x1 == int.from_bytes(bytes(range(1, 9)), "little")


def test_interrupts_can_be_masked(guest):
    guest.machine.write({"pstate": 0x6000_0005})
    guest.machine.mask_interrupts()
    assert guest.pstate == 0x6000_03C5


def test_registers_can_be_set(guest):
    values = {f"x{i}": i * 0x0123_4567_89AB_CDEF % (1 << 64) for i in range(31)}
    halves = {f"d{i}": i * 0xFEDC_BA98_7654_3210 % (1 << 64) for i in range(8, 16)}
    guest.machine.write({**values, **halves, "sp": 0x1230})
    assert list(guest.machine.read(tuple(values))) == list(values.values())
    assert list(guest.machine.read(tuple(halves))) == list(halves.values())
    assert guest.sp == 0x1230


def test_a_call_through_a_gate(guest, places):
    guest.enter = lambda _address: guest.machine.write({"x0": 42})
    # mov x1, gate; blr x1; wfi
    assert is_halted(guest.run(code(*mov(1, places.gate + 16), 0xD63F0020, WFI)))
    assert guest.calls == [places.gate + 16]
    assert guest.x0 == 42


# Exceptions of the CPU.


@pytest.mark.parametrize(
    ("instruction", "what"),
    [
        (UDF, "undefined instruction"),
        (HLT, "undefined instruction"),
        (to(0, 0xD53E1100), "undefined instruction"),  # SCR_EL3, from EL1
        (BRK, "breakpoint"),
        (SVC, "supervisor call"),
        (HVC, "hypervisor call"),
        (SMC, "secure monitor call"),
        (WFI, HALTED),
    ],
)
@pytest.mark.parametrize("access", [Access.RX, Access.RWX])
def test_exceptions_are_named(guest, instruction, what, access):
    guest.put(code(NOP, instruction), access=access)
    stop = guest.run(code(NOP, instruction))
    assert stop.kind == "fault"
    assert stop.detail == f"{what}, pc {stop.pc:#x}"


@pytest.mark.parametrize("hint", [YIELD, WFE, 0xD503209F, 0xD503233F, 0xD50323BF, 0xD503245F])
def test_hints_do_nothing(guest, hint):
    """yield, wfe, sev, paciasp, autiasp, bti c: the models have neither pointer authentication nor branch targets."""
    stop = guest.run(code(*mov(30, 0x1234_5678_9ABC), hint, hint, *mov(0, 7), WFI))
    assert is_halted(stop)
    assert (guest.x0, guest.x30) == (7, 0x1234_5678_9ABC)


NO_MEMORY = 0x7000_0000


@pytest.mark.parametrize(
    ("access", "make", "what"),
    [
        (Access.READ, read_from, None),
        (Access.READ, write_to, "data abort, write to {at:#x}, which is read-only"),
        (Access.READ, jump_to, "instruction abort, fetch from {at:#x}, which is not executable"),
        (Access.RW, read_from, None),
        (Access.RW, write_to, None),
        (Access.RW, jump_to, "instruction abort, fetch from {at:#x}, which is not executable"),
        (Access.RX, read_from, None),
        (Access.RX, write_to, "data abort, write to {at:#x}, which is read-only"),
        (Access.RX, jump_to, None),
        (Access.RWX, read_from, None),
        (Access.RWX, write_to, None),
        (Access.RWX, jump_to, None),
        (Access.NONE, read_from, "data abort, access to {at:#x}, which is a guard page"),
        (Access.NONE, write_to, "data abort, access to {at:#x}, which is a guard page"),
        (Access.NONE, jump_to, "instruction abort, fetch from {at:#x}, which is not executable"),
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
    # The CPU did what was allowed and nothing else.
    assert guest.ram.read(at, 1) == (b"\x5a" if what is None and make is write_to else code(WFI)[:1])


@pytest.mark.parametrize("address", [0, 4, PAGE - 4, NO_MEMORY, (1 << 48) - 4, 1 << 48, 0xFFFF_8000_0000_0000])
@pytest.mark.parametrize(
    ("make", "verb"),
    [
        (read_from, "data abort, access to"),
        (write_to, "data abort, access to"),
        (jump_to, "instruction abort, fetch from"),
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
    assert stop.detail == f"data abort, write to {readonly:#x}, which is read-only, pc {stop.pc:#x}"


def test_a_jump_to_no_multiple_of_four(guest, places):
    guest.put(code(NOP, WFI), places.data, Access.RX)
    stop = guest.run(jump_to(places.data + 2))
    assert stop.kind == "fault"
    assert f"pc {places.data + 2:#x}" in stop.detail


# Code that changes, and an MMU that goes off.


def test_code_that_is_written_again(guest, places):
    """str w1, [x0]; dc cvau, x0; dsb; ic ivau, x0; dsb; isb; blr x0; and all of it once more with another answer."""

    def patch_and_call(answer):
        return [
            *mov(1, 0x5280_0000 | answer << 5 | 2),  # mov w2, #answer
            0xB9000001, 0xD50B7B20, DSB, 0xD50B7520, DSB, ISB, 0xD63F0000,
        ]  # fmt: skip

    guest.put(code(NOP, RET), places.data, Access.RWX)
    stop = guest.run(code(*mov(0, places.data), *patch_and_call(1), 0xAA0203E3, *patch_and_call(2), WFI))  # mov x3, x2
    assert is_halted(stop)
    assert (guest.x3, guest.x2) == (1, 2)


def test_cache_maintenance_by_address_and_as_a_whole(guest, places):
    """dc cvac, x0; dc civac, x0; dc zva, x0; ic iallu; mrs x1, ctr_el0."""
    guest.ram.write(places.data, b"\xff" * 128)
    stop = guest.run(code(*mov(0, places.data), 0xD50B7A20, 0xD50B7E20, 0xD50B7420, 0xD508751F, 0xD53B0021, WFI))
    assert is_halted(stop)
    assert guest.ram.read(places.data, 128) == bytes(64) + b"\xff" * 64


def test_a_hand_off_with_the_mmu_off(guest, places):
    """As kernels up to 6.5 are entered: neither page tables nor permissions count any more."""
    program = code(to(1, SCTLR), *mov(2, 5), 0x8A220021, set_to(SCTLR, 1), ISB, *mov(0, places.data), BR_X0)
    guest.machine.arm([(places.code, places.code + PAGE)], [])
    guest.put(code(WFI), places.data)
    stop = guest.run(program)
    assert (stop.kind, stop.pc) == ("kernel-entry", places.data)
    assert places.code <= stop.came_from < places.code + PAGE
    registers = guest.machine.handoff_registers()
    assert registers["sctlr_el1"] & 5 == 0
    assert registers["x2"] == 5


# Time.

COUNTERS = code(to(1, CNTVCT), to(2, CNTPCT), to(3, CNTFRQ), WFI)


@pytest.mark.parametrize("cpu", CPU_MODELS)
def test_the_counters_are_virtual_time(make_guest, cpu):
    guest = make_guest(cpu, architecture=AARCH64)
    offset = guest.machine.monitor.tsc_offset
    assert is_halted(guest.run(COUNTERS))
    assert [guest.x1, guest.x2] == [(offset + n * COUNTER_READ_NS) // TICK_NS for n in (1, 2)]
    assert guest.x3 * TICK_NS == 1_000_000_000
    assert guest.machine.clock.now == 2 * COUNTER_READ_NS
    assert guest.machine.monitor.tsc_reads == 2
    assert guest.machine.monitor.host_reads == 0


def test_cycles_are_nanoseconds(guest):
    assert is_halted(guest.run(code(to(1, PMCCNTR), WFI)))
    assert guest.x1 == guest.machine.monitor.tsc_offset + COUNTER_READ_NS
    assert guest.machine.monitor.host_reads == 0


def test_equal_seeds_have_equal_counters_and_others_do_not(make_guest):
    def counter(seed):
        guest = make_guest(seed=seed, architecture=AARCH64)
        guest.run(COUNTERS)
        return guest.x1

    assert counter(1) == counter(1)
    assert len({counter(seed) for seed in range(5)}) == 5


def test_the_counter_moves_by_what_services_take(guest):
    guest.machine.clock.advance(1_000_000)
    guest.run(COUNTERS)
    assert guest.x1 == (guest.machine.monitor.tsc_offset + 1_000_000 + COUNTER_READ_NS) // TICK_NS


def test_a_counter_read_into_nowhere(guest):
    assert is_halted(guest.run(code(CNTVCT | 31, to(29, CNTVCT), to(30, CNTVCT), WFI)))
    assert guest.machine.monitor.tsc_reads == 3
    assert guest.x30 - guest.x29 in (1, 2)


@pytest.mark.parametrize(
    "register",
    [
        0xD53BE200,  # CNTP_TVAL_EL0
        0xD53BE320,  # CNTV_CTL_EL0
        0xD53B9D40,  # PMXEVCNTR_EL0
    ],
)
def test_what_comes_from_the_hosts_clock_is_counted(guest, register):
    assert is_halted(guest.run(code(to(0, register), to(0, register), WFI)))
    assert guest.machine.monitor.host_reads == 2


# The CPU's model.


@pytest.mark.parametrize("cpu", CPU_MODELS)
@pytest.mark.parametrize("register", [0xD53B2400, 0xD53B2420])
def test_there_is_no_randomness_of_the_host(make_guest, cpu, register):
    """RNDR and RNDRRS, which ID_AA64ISAR0_EL1 doesn't tell of."""
    guest = make_guest(cpu, architecture=AARCH64)
    assert is_halted(guest.run(code(to(1, ID_AA64ISAR0), WFI)))
    assert guest.x1 >> 60 == 0
    stop = guest.run(code(to(0, register)))
    assert stop.detail.startswith("undefined instruction")


@pytest.mark.parametrize("cpu", CPU_MODELS)
def test_the_model_can_address_what_a_platform_may_have(make_guest, cpu):
    guest = make_guest(cpu, architecture=AARCH64)
    guest.run(code(to(0, 0xD5380700), WFI))  # mrs x0, id_aa64mmfr0_el1
    bits = {0: 32, 1: 36, 2: 40, 3: 42, 4: 44, 5: 48}[guest.x0 & 7]
    assert AARCH64.address_limit <= 1 << bits
    assert guest.machine.handoff_registers()["tcr_el1"] >> 32 & 7 == guest.x0 & 7


def test_what_is_told_of_the_cpu(make_guest):
    """mrs x1 and x2, id_aa64mmfr0_el1 and id_aa64isar0_el1: one as told, the other as the model has it."""
    untold = make_guest(architecture=AARCH64)
    told = make_guest(architecture=AArch64(told={"id_aa64mmfr0_el1": 0xFEDC_BA98_0010_1124}))
    for guest in (untold, told):
        assert is_halted(guest.run(code(to(1, ID_AA64MMFR0), to(2, ID_AA64ISAR0), to(31, ID_AA64MMFR0), WFI)))
    assert (untold.x1, told.x1) == (0x1124, 0xFEDC_BA98_0010_1124)
    assert told.x2 == untold.x2
    assert told.sp == untold.sp, "register 31 is none"


@pytest.mark.parametrize(("name", "register"), ID_REGISTERS.items())
def test_every_register_can_be_told(make_guest, name, register):
    op0, op1, crn, crm, op2 = register
    guest = make_guest(architecture=AArch64(told={name: 0x1234}))
    assert is_halted(guest.run(code(0xD5200000 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | 1, WFI)))
    assert guest.x1 == 0x1234


def test_the_start_state_goes_by_what_is_told(make_guest):
    """The size of physical addresses."""
    guest = make_guest(architecture=AArch64(told={"id_aa64mmfr0_el1": 0x1122}))
    assert guest.machine.handoff_registers()["tcr_el1"] >> 32 & 7 == 2


# Accesses.


def test_every_access_is_reported_with_its_instruction(guest, places):
    """ldp x2, x3, [x0]; str w2, [x0, #16]; ldrb w4, [x0, #20]."""
    seen = []
    guest.machine.watch(lambda *access: seen.append(access), lambda _address, _size: None)
    first = places.code + 16
    assert is_halted(guest.run(code(*mov(0, places.data), 0xA9400C02, 0xB9001002, 0x39405004, WFI)))
    assert seen == [
        (first, places.data, 8, False),
        (first, places.data + 8, 8, False),
        (first + 4, places.data + 16, 4, True),
        (first + 8, places.data + 20, 1, False),
    ]
