"""The machine with a few hand-assembled instructions; every program is beside its assembly.

The programs know the places in conftest.py: code at 0x200000, data at 0x300000, a gate at 0x500000.
"""

import itertools
import struct

import pytest

from efi_services.ports import Access, MemoryFault
from shim.machine import machine as machine_module
from shim.machine.machine import COUNTER_READ_NS
from shim.machine.paging import LARGE, PAGE
from shim.machine.x86_64 import CPU_MODELS, EXCEPTIONS

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
    (start, middle, _), (middle_again, end, _) = guest.layout.own_regions
    assert start == guest.layout.page_tables == guest.cr3
    assert middle == middle_again == guest.layout.descriptor_tables
    assert end == guest.layout.descriptor_tables + 8192
    assert guest.tables.end <= middle, "the page tables end before the descriptor tables"


def test_interrupts_can_be_masked(guest):
    guest.machine.write({"rflags": 0xAD7})
    guest.machine.mask_interrupts()
    assert guest.rflags == 0x8D7


# Gates.

# sub $0x28, %rsp; mov $0x500000, %eax; mov $21, %ecx; call *%rax; mov %rax, %rbx; hlt
CALL = bytes.fromhex("4883ec28b800005000b915000000ffd04889c3f4")
# mov $7, %ebx; hlt
SET_7 = bytes.fromhex("bb07000000f4")


def test_a_gate_runs_the_callback_and_returns(guest, places):
    def enter(_address):
        rcx, rsp, rip = guest.machine.read(("rcx", "rsp", "rip"))
        assert rip == places.gate
        assert int.from_bytes(guest.ram.read(rsp, 8), "little") == places.code + 16
        guest.machine.write({"rax": rcx * 2})

    guest.enter = enter
    assert is_halted(guest.run(CALL))
    assert guest.calls == [places.gate]
    assert guest.rbx == 42
    assert guest.rsp == places.stack - 0x28


def test_a_callback_may_move_the_cpu_elsewhere(guest, places):
    guest.put(SET_7, places.code + 0x100)
    guest.enter = lambda _address: guest.machine.write({"rip": places.code + 0x100, "rsp": 0x3F_0000})
    stop = guest.run(CALL)
    assert is_halted(stop)
    assert (guest.rbx, guest.rsp) == (7, 0x3F_0000)
    assert guest.calls == [places.gate]


def test_from_gate_to_gate(guest, places):
    """A callback may send the CPU to another gate, whose callback is called too."""

    def enter(address):
        if address == places.gate:
            guest.machine.write({"rip": places.gate + 8})

    guest.enter = enter
    assert is_halted(guest.run(CALL))
    assert guest.calls == [places.gate, places.gate + 8]


class Odd(Exception):
    pass


@pytest.mark.parametrize("error", [Odd("x"), KeyboardInterrupt(), SystemExit(3)])
def test_exceptions_of_a_callback_come_out_of_run(guest, places, error):
    def enter(_address):
        raise error

    guest.enter = enter
    with pytest.raises(type(error)) as caught:
        guest.run(CALL)
    assert caught.value is error
    assert guest.rip == places.gate
    assert guest.rbx == 0, "nothing was executed after it"
    # The machine goes on from there, and the exception doesn't come again.
    guest.enter = lambda _address: guest.machine.write({"rax": 5})
    assert is_halted(guest.run())
    assert guest.rbx == 5


def test_after_an_exception_no_callback_runs(guest):
    # mov $1000, %r12d; 1: mov $0x500000, %eax; call *%rax; dec %r12d; jnz 1b; hlt
    def enter(_address):
        raise Odd

    guest.enter = enter
    with pytest.raises(Odd):
        guest.run(bytes.fromhex("41bce8030000b800005000ffd041ffcc75f4f4"))
    assert len(guest.calls) == 1


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


# Code that changes.

# mov $42, %eax; ret
RETURN_42 = bytes.fromhex("b82a000000c3")
RETURN_43 = bytes.fromhex("b82b000000c3")
# mov $0x300000, %esi; call *%rsi; mov %eax, %ebx; mov $0x500000, %eax; call *%rax;
# mov $0x300000, %esi; call *%rsi; hlt
TWICE_WITH_A_GATE_BETWEEN = bytes.fromhex("be00003000ffd689c3b800005000ffd0be00003000ffd6f4")


def test_a_page_for_everything_runs_and_can_be_rewritten_by_its_guest(guest, places):
    guest.put(RETURN_42, places.data, Access.RWX)
    # mov $0x300001, %edi; mov $0x300000, %esi; call *%rsi; mov %eax, %ebx; movb $43, (%rdi); call *%rsi; hlt
    stop = guest.run(bytes.fromhex("bf01003000be00003000ffd689c3c6072bffd6f4"))
    assert is_halted(stop)
    assert (guest.rbx, guest.rax) == (42, 43)


def test_code_may_rewrite_the_block_it_stands_in(guest, places):
    # 300000: movb $7, 3(%rip) (the last byte of the next instruction); mov $1, %bl; hlt
    guest.put(bytes.fromhex("c6050100000007b301f4"), places.data, Access.RWX)
    stop = guest.run(jump_to(places.data))
    assert is_halted(stop)
    assert guest.rbx & 0xFF == 7


@pytest.mark.parametrize("access", [Access.RX, Access.RWX])
@pytest.mark.parametrize("how", ["write", "copy", "fill"])
def test_code_that_the_host_changes_from_a_gate_is_seen(guest, places, access, how):
    guest.put(RETURN_42, places.data, access)

    def enter(_address):
        if how == "write":
            guest.ram.write(places.data, RETURN_43)
        elif how == "copy":
            guest.ram.write(places.data + PAGE, RETURN_43)
            guest.ram.copy(places.data, places.data + PAGE, 6)
        else:
            guest.ram.fill(places.data + 1, 1, 43)

    guest.enter = enter
    stop = guest.run(TWICE_WITH_A_GATE_BETWEEN)
    assert is_halted(stop)
    assert (guest.rbx, guest.rax) == (42, 43)


def test_code_that_the_host_changes_between_runs_is_seen(guest, places):
    for value in (1, 2, 3):
        guest.put(b"\xb8" + value.to_bytes(4, "little") + b"\xf4", places.code)  # mov $value, %eax; hlt
        guest.machine.write({"rip": places.code})
        assert is_halted(guest.run())
        assert guest.rax == value


def test_a_change_across_pages_reaches_the_second(guest, places):
    at = places.data + PAGE
    guest.put(RETURN_42, at, Access.RX)
    guest.tables.protect(places.data, PAGE, Access.RX)
    guest.enter = lambda _address: guest.ram.write(at - 3, b"\x90" * 3 + RETURN_43)
    # As above, the function at 0x301000.
    stop = guest.run(TWICE_WITH_A_GATE_BETWEEN.replace(bytes.fromhex("be00003000"), bytes.fromhex("be00103000")))
    assert is_halted(stop)
    assert (guest.rbx, guest.rax) == (42, 43)


@pytest.mark.parametrize("before", [Access.RX, Access.RWX])
@pytest.mark.parametrize("after", [Access.RX, Access.RWX])
@pytest.mark.parametrize("between", [Access.RW, Access.NONE])
def test_code_written_while_the_page_was_not_executable_is_seen(guest, places, before, between, after):
    """As a firmware does it for another image at the place of one that was unloaded."""
    guest.put(RETURN_42, places.data, before)

    def enter(_address):
        guest.machine.protect(places.data, PAGE, between)
        guest.ram.write(places.data, RETURN_43)
        guest.machine.protect(places.data, PAGE, after)

    guest.enter = enter
    stop = guest.run(TWICE_WITH_A_GATE_BETWEEN)
    assert is_halted(stop)
    assert (guest.rbx, guest.rax) == (42, 43)


@pytest.mark.parametrize("before", [Access.RX, Access.RWX])
@pytest.mark.parametrize("after", [Access.RX, Access.RWX])
def test_code_that_the_guest_writes_while_the_page_is_not_executable_is_seen(guest, places, before, after):
    """As a stub does it through the memory attribute protocol: writable, then executable."""
    guest.put(RETURN_42, places.data, before)
    changes = itertools.cycle([Access.RW, after])
    guest.enter = lambda _address: guest.machine.protect(places.data, PAGE, next(changes))
    # mov $0x300000, %esi; call *%rsi; mov %eax, %ebx; mov $0x500000, %edi; call *%rdi; movb $43, 1(%rsi);
    # call *%rdi; call *%rsi; hlt
    stop = guest.run(bytes.fromhex("be00003000ffd689c3bf00005000ffd7c646012bffd7ffd6f4"))
    assert is_halted(stop)
    assert (guest.rbx, guest.rax) == (42, 43)


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


# Budgets.

# jmp .
FOREVER = bytes.fromhex("ebfe")
# mov $1000, %r12d; 1: mov $0x500000, %eax; call *%rax; dec %r12d; jnz 1b; hlt
CALLS = bytes.fromhex("41bce8030000b800005000ffd041ffcc75f4f4")


@pytest.mark.parametrize("blocks", [0, 1, 2, 999, 1000])
def test_the_budget_is_exact(guest, places, blocks):
    stop = guest.run(FOREVER, max_blocks=blocks)
    assert (stop.kind, stop.pc) == ("budget", places.code)
    assert guest.machine.monitor.blocks == blocks
    assert str(blocks) in stop.detail


def test_the_budget_counts_over_several_slices(guest, monkeypatch):
    monkeypatch.setattr(machine_module, "SLICE", 9)
    polls = []
    stop = guest.run(FOREVER, max_blocks=100, poll=lambda: polls.append(guest.machine.monitor.blocks))
    assert stop.kind == "budget"
    assert guest.machine.monitor.blocks == 100
    assert polls == list(range(9, 100, 9))


def test_a_program_that_ends_in_its_budget_ends_by_itself(guest):
    # jmp .+2; hlt
    assert is_halted(guest.run(bytes.fromhex("eb00f4"), max_blocks=2))
    assert guest.machine.monitor.blocks == 2


def test_a_program_that_needs_a_block_more_does_not(guest, places):
    stop = guest.run(bytes.fromhex("eb00f4"), max_blocks=1)  # jmp .+2; hlt
    assert (stop.kind, stop.pc) == ("budget", places.code + 2)


def test_what_poll_says_ends_the_run(guest, monkeypatch):
    monkeypatch.setattr(machine_module, "SLICE", 10)
    answers = iter([None, None, "it is late"])
    stop = guest.run(FOREVER, poll=lambda: next(answers))
    assert (stop.kind, stop.detail) == ("budget", "it is late")
    assert guest.machine.monitor.blocks == 30


def test_exceptions_of_poll_come_out_of_run(guest, monkeypatch):
    monkeypatch.setattr(machine_module, "SLICE", 10)

    def poll():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guest.run(FOREVER, poll=poll)


# mov $0x300000, %edi; mov $0x10000, %ecx; xor %eax, %eax;
# 1: imul $0x41c64e6d, %eax, %eax; add $0x3039, %eax; mov %eax, (%rdi); add $4, %rdi; dec %ecx; jnz 1b; hlt
FILL = bytes.fromhex("bf00003000b90000010031c069c06d4ec641053930000089074883c704ffc975ebf4")

# The same, 0x400 times.
FILL_LESS = FILL.replace(b"\xb9\x00\x00\x01\x00", b"\xb9\x00\x04\x00\x00")


def test_a_run_ends_in_the_memory_that_its_program_makes(make_guest, places):
    def lcg():
        value = 0
        while True:
            value = (value * 0x41C64E6D + 0x3039) & 0xFFFF_FFFF
            yield value

    expected = struct.pack("<65536I", *itertools.islice(lcg(), 65536))
    digests = []
    for _ in range(2):
        guest = make_guest()
        assert is_halted(guest.run(FILL))
        assert guest.ram.read(places.data, 4 * 65536) == expected
        digests.append(guest.ram.digest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("program", [CALLS, COUNTERS, FILL_LESS])
def test_slices_change_nothing(make_guest, monkeypatch, size, program):
    """Where the machine looks up in between must not be seen in what the guest does: no block twice, no call twice."""

    def outcome(slice_size):
        monkeypatch.setattr(machine_module, "SLICE", slice_size)
        guest = make_guest()
        guest.enter = lambda _address: guest.machine.clock.advance(1000)
        stop = guest.run(program)
        monitor = guest.machine.monitor
        registers = guest.machine.handoff_registers()
        return stop, guest.calls, monitor.blocks, monitor.time_ns, registers, guest.ram.digest()

    assert outcome(size) == outcome(1 << 20)


def test_pages_executed_for_the_first_time_count_like_others(make_guest, places):
    """Laziness is an optimisation: blocks, where it ends and memory are the same."""

    def outcome(access):
        guest = make_guest()
        guest.put(RETURN_42, places.data, access)
        stop = guest.run(TWICE_WITH_A_GATE_BETWEEN)
        return stop, guest.machine.monitor.blocks, guest.machine.monitor.previous, guest.calls, guest.rbx, guest.rsp

    assert outcome(Access.RX) == outcome(Access.RWX)


def test_the_monitor_knows_the_last_block(guest, places):
    guest.run(CALL)
    assert guest.machine.monitor.previous == places.code + 16
    assert guest.machine.monitor.blocks == 3


# The hand-off.


def outside(places):
    """The tests put mov $7, %ebx; hlt there."""
    return jump_to(places.data)


def test_leaving_the_ranges_stops_before_the_first_instruction(guest, places):
    guest.put(SET_7, places.data, Access.RX)
    guest.machine.arm([(places.code, places.code + PAGE)], [])
    stop = guest.run(outside(places))
    assert (stop.kind, stop.pc, stop.came_from) == ("kernel-entry", places.data, places.code)
    assert guest.rbx == 0
    assert guest.machine.monitor.blocks == 1
    # The state at the hand-off is one that can go on.
    guest.machine.arm([(places.data, places.data + PAGE)], [])
    assert is_halted(guest.run())
    assert guest.rbx == 7


def test_what_is_in_a_range_goes_on(guest, places):
    guest.put(SET_7, places.data, Access.RX)
    guest.machine.arm([(places.code, places.code + PAGE), (places.data, places.data + 1)], [])
    assert is_halted(guest.run(outside(places)))


@pytest.mark.parametrize(
    ("start", "end"), [(1, PAGE), (-PAGE, 0)], ids=["begins behind it", "ends before it: ends are exclusive"]
)
def test_borders_of_ranges(guest, places, start, end):
    guest.put(SET_7, places.data, Access.RX)
    guest.machine.arm([(places.code, places.code + PAGE), (places.data + start, places.data + end)], [])
    assert guest.run(outside(places)).kind == "kernel-entry"


def test_an_entry_stops_within_a_range(guest, places):
    guest.put(SET_7, places.data, Access.RX)
    guest.machine.arm([(0, places.size)], [places.data + 1, places.data])
    stop = guest.run(outside(places))
    assert (stop.kind, stop.pc, stop.came_from) == ("kernel-entry", places.data, places.code)
    assert guest.rbx == 0


def test_without_arming_nothing_is_an_entry(guest, places):
    guest.put(SET_7, places.data, Access.RX)
    assert is_halted(guest.run(outside(places)))


def test_what_was_armed_stands_when_arming_fails(guest, places):
    guest.put(SET_7, places.data, Access.RX)
    guest.machine.arm([(places.code, places.code + PAGE)], [])
    with pytest.raises(OverflowError):
        guest.machine.arm([(0, places.size)], [-1])
    assert guest.run(outside(places)).kind == "kernel-entry"


def test_arming_again_replaces_what_was_armed(guest, places):
    guest.put(SET_7, places.data, Access.RX)
    guest.machine.arm([(places.code, places.code + 1)], [places.data])
    guest.machine.arm([(0, places.size)], [])
    assert is_halted(guest.run(outside(places)))


def test_a_hand_off_to_a_page_that_was_never_executed(guest, places):
    guest.put(SET_7, places.data, Access.RWX)
    guest.machine.arm([(places.code, places.code + PAGE)], [])
    stop = guest.run(outside(places))
    assert (stop.kind, stop.pc, stop.came_from) == ("kernel-entry", places.data, places.code)


def test_a_jump_to_data_is_a_fault_and_no_hand_off(guest, places):
    guest.machine.arm([(places.code, places.code + PAGE)], [])
    stop = guest.run(outside(places))
    assert stop.kind == "fault"
    assert f"fetch from {places.data:#x}" in stop.detail


def test_arming_from_a_gate_takes_effect_at_once(guest, places):
    guest.put(SET_7, places.data, Access.RX)
    # mov $0x500000, %eax; call *%rax; mov $0x300000, %eax; jmp *%rax
    code = bytes.fromhex("b800005000ffd0b800003000ffe0")
    ranges = [(places.gate, places.gate + PAGE), (places.code, places.code + PAGE)]
    guest.enter = lambda _address: guest.machine.arm(ranges, [])
    stop = guest.run(code)
    assert (stop.kind, stop.pc, stop.came_from) == ("kernel-entry", places.data, places.code + 7)


def test_a_hand_off_is_told_when_the_guest_switches_its_page_tables(guest, places):
    """A kernel's decompressor may bring its own tables first: the monitor looks at addresses only."""
    guest.put(SET_7, places.data, Access.RX)
    guest.machine.arm([(places.code, places.code + PAGE)], [])
    # mov %cr3, %rax; mov %rax, %cr3; mov $0x300000, %eax; jmp *%rax
    stop = guest.run(bytes.fromhex("0f20d80f22d8b800003000ffe0"))
    assert (stop.kind, stop.pc) == ("kernel-entry", places.data)


# Accesses.


def test_accesses_are_reported_with_their_place_and_direction(guest, places):
    seen = []
    guest.machine.hook_accesses(lambda *access: seen.append(access))
    # mov $0x300000, %eax; mov 8(%rax), %ebx; mov %rbx, (%rax); movb $1, 32(%rax); push %rbx; hlt
    assert is_halted(guest.run(bytes.fromhex("b8000030008b5808488918c640200153f4")))
    code, data = places.code, places.data
    assert seen == [
        (code + 5, data + 8, 4, False),
        (code + 8, data, 8, True),
        (code + 11, data + 32, 1, True),
        (code + 15, places.stack - 8, 8, True),
    ]


def test_watching_accesses_changes_nothing(make_guest):
    def outcome(watch):
        guest = make_guest()
        count = []
        if watch:
            guest.machine.hook_accesses(lambda *_: count.append(1))
        stop = guest.run(FILL_LESS)
        return (stop, guest.machine.monitor.blocks, guest.ram.digest()), len(count)

    (plain, none), (watched, some) = outcome(False), outcome(True)
    assert plain == watched
    assert (none, some) == (0, 0x400)


# The firmware's side of memory.


def test_the_host_can_not_reach_what_is_no_ram(guest, places):
    with pytest.raises(MemoryFault):
        guest.ram.read(places.size, 1)


def test_mmu_port(guest, places):
    assert guest.machine.access(places.data) is Access.RW
    guest.machine.protect(places.data, 2 * PAGE, Access.RX)
    assert guest.machine.access(places.data + PAGE) is Access.RX
    assert guest.machine.access(places.data + 2 * PAGE) is Access.RW
    assert guest.machine.access(0) is None
    assert guest.machine.access(places.size + LARGE) is None
