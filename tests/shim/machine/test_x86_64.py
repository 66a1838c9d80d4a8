"""The x86-64 CPU: its start state, its exceptions, its clock, and what its model promises.

Every hand-assembled program is beside its assembly, and knows the places in conftest.py: code at 0x200000, data at
0x300000, a gate at 0x500000.
"""

import struct

import pytest

from efi_services.ports import Access
from shim.machine.machine import COUNTER_READ_NS
from shim.machine.paging import PAGE
from shim.machine.x86 import CPU_MODELS, EXCEPTIONS

HALTED = "the CPU was halted for good"


def page_fault(what):
    return f"{EXCEPTIONS[14]}, {what}"


def is_halted(stop):
    return stop.kind == "fault" and stop.detail.startswith(HALTED)


# The start state.


def test_the_state_at_the_start(guest, places):
    registers = guest.machine.handoff_registers()
    assert registers["cr0"] & 0x8001_0001 == 0x8001_0001  # PG, WP, PE
    assert registers["cr0"] & 0x6000_000C == 0  # neither CD, NW, TS nor EM
    assert registers["cr3"] == guest.layout.page_tables
    assert registers["cr4"] & 0x620 == 0x620  # OSXMMEXCPT, OSFXSR, PAE
    assert registers["efer"] & 0xD00 == 0xD00  # NXE, LMA, LME
    assert registers["cs"] == 0x38
    assert {registers[each] for each in ("ds", "es", "fs", "gs", "ss")} == {0x30}
    assert registers["rflags"] == 0x202  # interrupts on, direction up
    assert registers["rsp"] == places.stack
    assert registers["gdt_base"] == guest.layout.descriptor_tables


def test_the_selectors_are_those_of_the_table_in_memory(guest):
    registers = guest.machine.handoff_registers()
    table = bytes(guest.ram.view(registers["gdt_base"], registers["gdt_limit"] + 1))
    (code,) = struct.unpack_from("<Q", table, registers["cs"])
    (data,) = struct.unpack_from("<Q", table, registers["ds"])
    # Present, code, readable, ring 0, and 64-bit; present, data, writable (Intel SDM volume 3, section 3.4.5).
    assert code >> 40 & 0xFA == 0x9A
    assert (code >> 53 & 1, code >> 54 & 1) == (1, 0)
    assert data >> 40 & 0xFA == 0x92
    idt = bytes(guest.ram.view(registers["idt_base"], registers["idt_limit"] + 1))
    assert len(idt) == 4096
    assert not any(idt), "all gates are absent"


def test_it_is_in_long_mode(guest):
    # mov $0x1122334455667788, %rax; hlt
    stop = guest.run(bytes.fromhex("48b88877665544332211f4"))
    assert is_halted(stop)
    assert guest.rax == 0x1122334455667788


def test_the_firmware_names_its_own_regions(guest):
    (start, middle, *_), (middle_again, end, *_) = guest.layout.own_regions
    assert start == guest.layout.page_tables == guest.cr3
    assert middle == middle_again == guest.layout.descriptor_tables
    assert end == guest.layout.descriptor_tables + 8192
    assert guest.tables.end <= middle, "the page tables end before the descriptor tables"


def test_interrupts_can_be_masked(guest):
    guest.machine.write({"rflags": 0xAD7})
    guest.machine.mask_interrupts()
    assert guest.rflags == 0x8D7


# Exceptions of the CPU.


@pytest.mark.parametrize(
    ("code", "at", "what"),
    [
        ("f4", None, HALTED),  # hlt
        ("900f0b", 1, EXCEPTIONS[6]),  # nop; ud2
        ("31c931d2b801000000f7f1f4", 9, EXCEPTIONS[0]),  # xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax; div %ecx; hlt
        ("90ccf4", None, EXCEPTIONS[3]),  # nop; int3; hlt
        ("cd80f4", None, "interrupt 0x80"),  # int $0x80; hlt
        # mov $0x8000000000000000, %rax; mov (%rax), %rbx; hlt
        ("48b80000000000000080488b18f4", 10, EXCEPTIONS[13]),
    ],
)
@pytest.mark.parametrize("access", [Access.RX, Access.RWX])
def test_exceptions_are_named(guest, places, code, at, what, access):
    guest.put(bytes.fromhex(code), access=access)
    stop = guest.run(bytes.fromhex(code))
    assert stop.kind == "fault"
    assert stop.detail.startswith(what)
    assert stop.detail.endswith(f"pc {stop.pc:#x}")
    if at is not None:
        assert stop.pc == places.code + at


def rax_is(address):
    """mov $address, %rax."""
    return b"\x48\xb8" + address.to_bytes(8, "little")


def write_to(address):
    """movb $0x5a, (%rax); hlt."""
    return rax_is(address) + b"\xc6\x00\x5a\xf4"


def read_from(address):
    """mov (%rax), %bl; hlt."""
    return rax_is(address) + b"\x8a\x18\xf4"


def jump_to(address):
    """jmp *%rax."""
    return rax_is(address) + b"\xff\xe0"


NO_MEMORY = 0x7000_0000


@pytest.mark.parametrize(
    ("access", "make", "what"),
    [
        (Access.READ, read_from, None),
        (Access.READ, write_to, "write to {at:#x}, which is read-only"),
        (Access.READ, jump_to, "fetch from {at:#x}, which is not executable"),
        (Access.RW, read_from, None),
        (Access.RW, write_to, None),
        (Access.RW, jump_to, "fetch from {at:#x}, which is not executable"),
        (Access.RX, read_from, None),
        (Access.RX, write_to, "write to {at:#x}, which is read-only"),
        (Access.RX, jump_to, None),
        (Access.RWX, read_from, None),
        (Access.RWX, write_to, None),
        (Access.RWX, jump_to, None),
        (Access.NONE, read_from, "access to {at:#x}, which is a guard page"),
        (Access.NONE, write_to, "access to {at:#x}, which is a guard page"),
        (Access.NONE, jump_to, "fetch from {at:#x}, which is not executable"),
    ],
)
@pytest.mark.parametrize("offset", [0, PAGE - 1])
def test_what_pages_allow(guest, places, access, make, what, offset):
    at = places.data + offset
    guest.ram.write(at, b"\xf4")  # hlt
    guest.tables.protect(places.data, PAGE, access)
    stop = guest.run(make(at))
    if what is None:
        assert is_halted(stop)
    else:
        assert stop.kind == "fault"
        assert stop.detail == f"{page_fault(what.format(at=at))}, pc {stop.pc:#x}"
    # The CPU did what was allowed and nothing else.
    assert guest.ram.read(at, 1) == (b"\x5a" if what is None and make is write_to else b"\xf4")


@pytest.mark.parametrize("address", [0, 1, PAGE - 1, NO_MEMORY, (1 << 47) - 1])
@pytest.mark.parametrize(("make", "verb"), [(read_from, "access to"), (write_to, "access to"), (jump_to, "fetch from")])
def test_what_is_no_memory_faults(guest, address, make, verb):
    stop = guest.run(make(address))
    assert stop.kind == "fault"
    assert stop.detail == f"{page_fault(f'{verb} {address:#x}, which is no memory')}, pc {stop.pc:#x}"


@pytest.mark.parametrize("make", [read_from, write_to, jump_to])
def test_a_fault_is_told_by_the_instruction_that_did_it(guest, places, make):
    guest.tables.protect(places.data, PAGE, Access.NONE)
    stop = guest.run(b"\x90" * 8 + make(places.data))
    assert stop.pc == (places.data if make is jump_to else places.code + 18)


def test_the_stack_can_overflow_into_a_guard_page(guest, places):
    guest.tables.protect(places.stack - PAGE, PAGE, Access.NONE)
    stop = guest.run(bytes.fromhex("50f4"))  # push %rax; hlt
    assert stop.detail.startswith(page_fault(f"access to {places.stack - 8:#x}, which is a guard page"))


def test_an_access_across_a_border_faults_at_the_border(guest, places):
    guest.tables.protect(places.data + PAGE, PAGE, Access.READ)
    # mov $0x300ffc, %eax; mov %rbx, (%rax); hlt
    stop = guest.run(bytes.fromhex("b8fc0f3000488918f4"))
    assert stop.detail.startswith(page_fault(f"write to {places.data + PAGE:#x}, which is read-only"))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda _at: read_from(0), "access to 0x0, which is no memory"),
        (write_to, "write to {at:#x}, which is read-only"),
        (jump_to, "fetch from {at:#x}, which is not executable"),
    ],
)
@pytest.mark.parametrize("pages", [1, 2, 5])
def test_page_faults_are_told_after_pages_were_executed_for_the_first_time(guest, places, make, what, pages):
    """Each first execution is a page fault that the guest doesn't see; later ones must not be mixed up with it."""
    readonly = places.data + 100 * PAGE
    guest.tables.protect(readonly, PAGE, Access.READ)
    for n in range(pages):
        following = jump_to(places.data + (n + 1) * PAGE) if n + 1 < pages else make(readonly)
        guest.put(following, places.data + n * PAGE, Access.RWX)
    stop = guest.run(jump_to(places.data))
    assert stop.kind == "fault"
    assert stop.detail == f"{page_fault(what.format(at=readonly))}, pc {stop.pc:#x}"


@pytest.mark.parametrize("access", [Access.READ, Access.RW, Access.RX, Access.RWX, Access.NONE])
def test_code_that_runs_over_a_border(guest, places, access):
    """A block may begin in one page and end in the next: many instructions, none of them at the border itself."""
    nops = 0x80
    end = places.data + PAGE
    guest.put(b"\x90" * nops + b"\xf4", end - nops // 2)
    guest.tables.protect(places.data, PAGE, Access.RX)
    guest.tables.protect(end, PAGE, access)
    stop = guest.run(jump_to(end - nops // 2))
    if Access.EXECUTE in access:
        assert is_halted(stop)
    else:
        assert stop.detail.startswith(page_fault(f"fetch from {end:#x}, which is not executable"))


# Time.

# rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, %rbx; rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, %rsi; hlt
COUNTERS = bytes.fromhex("0f3148c1e2204809d04889c30f3148c1e2204809d04889c6f4")
# rdtscp; shl $32, %rdx; or %rdx, %rax; mov %rax, %rdi; hlt
COUNTER_AND_PROCESSOR = bytes.fromhex("0f01f948c1e2204809d04889c7f4")


@pytest.mark.parametrize("cpu", CPU_MODELS)
def test_the_time_stamp_counter_is_virtual_time(make_guest, cpu):
    guest = make_guest(cpu)
    offset = guest.machine.monitor.tsc_offset
    assert is_halted(guest.run(COUNTERS))
    assert [guest.rbx, guest.rsi] == [offset + COUNTER_READ_NS, offset + 2 * COUNTER_READ_NS]
    assert guest.machine.clock.now == 2 * COUNTER_READ_NS
    assert guest.machine.monitor.tsc_reads == 2


@pytest.mark.parametrize("cpu", CPU_MODELS)
def test_the_counter_with_the_processor_number(make_guest, cpu):
    """RDTSCP is there on the models that tell of it in CPUID, and an invalid opcode on the others."""
    guest = make_guest(cpu)
    # mov $0x80000001, %eax; cpuid; hlt
    assert is_halted(guest.run(bytes.fromhex("b8010000800fa2f4")))
    told = guest.rdx >> 27 & 1
    guest.machine.write({"rcx": 0xFFFF_FFFF_FFFF_FFFF})
    stop = guest.run(COUNTER_AND_PROCESSOR)
    if told:
        assert is_halted(stop)
        assert guest.rdi == guest.machine.monitor.tsc_offset + COUNTER_READ_NS
        assert guest.rcx == 0, "the processor's number"
    else:
        assert stop.detail.startswith(EXCEPTIONS[6])
        assert guest.machine.clock.now == 0


def test_some_model_has_the_counter_with_the_processor_number(make_guest):
    assert is_halted(make_guest("sandybridge").run(COUNTER_AND_PROCESSOR))


def test_time_does_not_turn_over_by_reading_it(guest):
    end = (1 << 64) - 1
    guest.machine.clock.advance(end - COUNTER_READ_NS - 1)
    guest.run(COUNTERS)
    assert guest.machine.clock.now == end
    assert guest.rsi == (guest.machine.monitor.tsc_offset + end) % (1 << 64), "the counter does: it has 64 bits"
    assert guest.rsi - guest.rbx == 1


def test_the_counter_moves_by_what_services_take_and_not_by_blocks(guest):
    # mov $100000, %ecx; 1: dec %ecx; jnz 1b; hlt
    guest.run(bytes.fromhex("b9a0860100ffc975fcf4"))
    assert guest.machine.clock.now == 0
    guest.machine.clock.advance(1_000_000)
    guest.run(COUNTERS)
    assert guest.rbx == guest.machine.monitor.tsc_offset + 1_000_000 + COUNTER_READ_NS


def test_the_upper_halves_are_cleared(guest):
    guest.machine.write({"rax": (1 << 64) - 1, "rdx": (1 << 64) - 1})
    guest.run(bytes.fromhex("0f31f4"))  # rdtsc; hlt
    assert guest.rax >> 32 == 0
    assert guest.rdx >> 32 == 0


def test_equal_seeds_have_equal_counters_and_others_do_not(make_guest):
    def counters(seed):
        guest = make_guest(seed=seed)
        guest.run(COUNTERS)
        return guest.rbx, guest.rsi, guest.rdi, guest.machine.entropy.take(16)

    assert counters(1) == counters(1)
    found = [counters(seed) for seed in range(5)]
    assert len({each[0] for each in found}) == 5
    assert len({each[3] for each in found}) == 5


def test_the_counter_as_a_register_is_not_the_hosts(make_guest):
    # mov $0x10, %ecx; rdmsr; shl $32, %rdx; or %rdx, %rax; mov %rax, %rbx; hlt
    program = bytes.fromhex("b9100000000f3248c1e2204809d04889c3f4")
    found = set()
    for _ in range(3):
        guest = make_guest()
        stop = guest.run(program)
        found.add((stop, guest.rbx))
    assert len(found) == 1


# The CPU's model.


@pytest.mark.parametrize("cpu", CPU_MODELS)
@pytest.mark.parametrize(
    "code",
    [
        "480fc7f0f4",  # rdrand %rax; hlt
        "480fc7f8f4",  # rdseed %rax; hlt
        "f30fc7f8f4",  # rdpid %rax; hlt
    ],
)
def test_there_is_no_randomness_of_the_host(make_guest, places, cpu, code):
    guest = make_guest(cpu)
    stop = guest.run(bytes.fromhex(code))
    assert stop.detail.startswith(EXCEPTIONS[6])
    assert (stop.pc, guest.rax) == (places.code, 0)


# Leaves 0 to 23 and 0x80000000 to 0x80000008, 16 bytes each, to 0x300000:
# mov $0x300000, %r8d; mov $0x300800, %r9d; xor %r10d, %r10d;
# 1: mov %r10d, %eax; xor %ecx, %ecx; cpuid; mov %eax, (%r8); mov %ebx, 4(%r8); mov %ecx, 8(%r8); mov %edx, 12(%r8);
# add $16, %r8; inc %r10d; cmp $24, %r10d; jne 1b; mov $0x80000000, %r10d;
# 2: the same up to cmp $0x80000009, %r10d; jne 2b; hlt
CPUID = bytes.fromhex(
    "41b80000300041b9000830004531d24489d031c90fa241890041895804418948084189500c4983c01041ffc24183fa1875dd41ba00000080"
    "4489d031c90fa241890041895804418948084189500c4983c01041ffc24181fa0900008075daf4"
)


@pytest.mark.parametrize("cpu", CPU_MODELS)
def test_cpuid_is_the_models(make_guest, places, cpu):
    leaves = []
    for _ in range(2):
        guest = make_guest(cpu)
        assert is_halted(guest.run(CPUID))
        leaves.append(guest.ram.read(places.data, 33 * 16))
    assert leaves[0] == leaves[1]

    def leaf(number):
        return struct.unpack_from("<4I", leaves[0], 16 * (number if number < 24 else number - 0x8000_0000 + 24))

    assert struct.pack("<3I", leaf(0)[1], leaf(0)[3], leaf(0)[2]) == b"GenuineIntel"
    assert not leaf(1)[2] >> 30 & 1, "RDRAND"
    if leaf(0)[0] >= 7:
        assert not leaf(7)[1] >> 18 & 1, "RDSEED"
    extended = leaf(0x8000_0001)[3]
    assert extended >> 29 & 1, "long mode"
    assert extended >> 20 & 1, "NX"


def test_models_differ(make_guest, places):
    found = set()
    for cpu in CPU_MODELS:
        guest = make_guest(cpu)
        guest.run(CPUID)
        found.add(guest.ram.read(places.data, 33 * 16))
    assert len(found) == len(CPU_MODELS)


def test_an_unknown_model_is_an_error(make_guest):
    with pytest.raises(KeyError):
        make_guest("host")
