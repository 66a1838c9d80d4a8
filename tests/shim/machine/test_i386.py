"""The 32-bit x86 CPU: its start state, what its pages allow, its clock, and what its models promise.

Programs know the places in conftest.py: code at 0x200000, data at 0x300000, a gate at 0x500000. What doesn't depend on
the width of the CPU is tested with the other one, in test_x86_64.py.
"""

import struct

import pytest

from efi_services.ports import Access
from shim.machine.i386 import I386
from shim.machine.machine import COUNTER_READ_NS
from shim.machine.paging import PAGE
from shim.machine.x86 import CPU_MODELS, EXCEPTIONS

HALTED = "the CPU was halted for good"


def page_fault(what):
    return f"{EXCEPTIONS[14]}, {what}"


def is_halted(stop):
    return stop.kind == "fault" and stop.detail.startswith(HALTED)


@pytest.fixture
def guest(make_guest):
    return make_guest(architecture=I386)


# The start state.


def test_the_state_at_the_start(guest, places):
    registers = guest.machine.handoff_registers()
    assert registers["cr0"] & 0x8001_0001 == 0x8001_0001  # PG, WP, PE
    assert registers["cr0"] & 0x6000_000C == 0  # neither CD, NW, TS nor EM
    assert registers["cr3"] == guest.layout.page_tables
    assert registers["cr4"] & 0x620 == 0x620  # OSXMMEXCPT, OSFXSR, PAE
    assert registers["efer"] == 0x800  # NXE, and nothing of long mode
    assert registers["cs"] == 0x10
    assert {registers[each] for each in ("ds", "es", "fs", "gs", "ss")} == {8}
    assert registers["eflags"] == 0x202  # interrupts on, direction up
    assert registers["esp"] == places.stack
    assert registers["gdt_base"] == guest.layout.descriptor_tables


def test_the_selectors_are_those_of_the_table_in_memory(guest):
    registers = guest.machine.handoff_registers()
    table = bytes(guest.ram.view(registers["gdt_base"], registers["gdt_limit"] + 1))
    (code,) = struct.unpack_from("<Q", table, registers["cs"])
    (data,) = struct.unpack_from("<Q", table, registers["ds"])
    # Present, code, readable, ring 0, and 32-bit; present, data, writable; both flat (Intel SDM volume 3, 3.4.5).
    assert code >> 40 & 0xFA == 0x9A
    assert (code >> 53 & 1, code >> 54 & 1) == (0, 1)
    assert data >> 40 & 0xFA == 0x92
    for each in (code, data):
        base = each >> 16 & 0xFF_FFFF | each >> 56 << 24
        limit = each & 0xFFFF | each >> 48 & 0xF
        assert (base, limit, each >> 55 & 1) == (0, 0xFFFF, 1)


def test_it_has_32_bits(guest):
    # xor %eax, %eax; dec %eax; hlt: with 64 bits, 48 would be a prefix of hlt
    assert is_halted(guest.run(bytes.fromhex("31c048f4")))
    assert guest.eax == 0xFFFF_FFFF


def test_interrupts_can_be_masked(guest):
    guest.machine.write({"eflags": 0xAD7})
    guest.machine.mask_interrupts()
    assert guest.eflags == 0x8D7


def test_floating_point_and_vectors_do_not_trap(guest):
    # fninit; movaps %xmm0, %xmm1; hlt
    assert is_halted(guest.run(bytes.fromhex("dbe30f28c8f4")))


# Exceptions.


@pytest.mark.parametrize(
    ("code", "at", "what"),
    [
        ("900f0b", 1, EXCEPTIONS[6]),  # nop; ud2
        ("31c931d2b801000000f7f1f4", 9, EXCEPTIONS[0]),  # xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax; div %ecx; hlt
        ("90ccf4", None, EXCEPTIONS[3]),  # nop; int3; hlt
        ("66b867458ed8f4", 4, EXCEPTIONS[13]),  # mov $0x4567, %ax; mov %eax, %ds; hlt
    ],
)
def test_exceptions_are_named(guest, places, code, at, what):
    stop = guest.run(bytes.fromhex(code))
    assert stop.kind == "fault"
    assert stop.detail.startswith(what)
    if at is not None:
        assert stop.pc == places.code + at


def eax_is(address):
    """mov $address, %eax."""
    return b"\xb8" + address.to_bytes(4, "little")


def write_to(address):
    """movb $0x5a, (%eax); hlt."""
    return eax_is(address) + b"\xc6\x00\x5a\xf4"


def read_from(address):
    """mov (%eax), %bl; hlt."""
    return eax_is(address) + b"\x8a\x18\xf4"


def jump_to(address):
    """jmp *%eax."""
    return eax_is(address) + b"\xff\xe0"


@pytest.mark.parametrize(
    ("access", "make", "what"),
    [
        (Access.READ, read_from, None),
        (Access.READ, write_to, "write to {at:#x}, which is read-only"),
        (Access.READ, jump_to, "fetch from {at:#x}, which is not executable"),
        (Access.RW, write_to, None),
        (Access.RW, jump_to, "fetch from {at:#x}, which is not executable"),
        (Access.RX, write_to, "write to {at:#x}, which is read-only"),
        (Access.RX, jump_to, None),
        (Access.RWX, write_to, None),
        (Access.RWX, jump_to, None),
        (Access.NONE, read_from, "access to {at:#x}, which is a guard page"),
    ],
)
def test_what_pages_allow(guest, places, access, make, what):
    at = places.data
    guest.ram.write(at, b"\xf4")  # hlt
    guest.tables.protect(places.data, PAGE, access)
    stop = guest.run(make(at))
    if what is None:
        assert is_halted(stop)
    else:
        assert stop.detail == f"{page_fault(what.format(at=at))}, pc {stop.pc:#x}"
    assert guest.ram.read(at, 1) == (b"\x5a" if what is None and make is write_to else b"\xf4")


@pytest.mark.parametrize("address", [0, PAGE - 1, 0x7000_0000, 0xFFFF_F000])
@pytest.mark.parametrize(("make", "verb"), [(read_from, "access to"), (write_to, "access to"), (jump_to, "fetch from")])
def test_what_is_no_memory_faults(guest, address, make, verb):
    stop = guest.run(make(address))
    assert stop.detail == f"{page_fault(f'{verb} {address:#x}, which is no memory')}, pc {stop.pc:#x}"


# Time and the models.

# rdtsc; mov %eax, %ebx; mov %edx, %ecx; rdtsc; hlt
COUNTERS = bytes.fromhex("0f3189c389d10f31f4")


@pytest.mark.parametrize("cpu", CPU_MODELS)
def test_the_time_stamp_counter_is_virtual_time(make_guest, cpu):
    guest = make_guest(cpu, architecture=I386)
    offset = guest.machine.monitor.tsc_offset
    assert is_halted(guest.run(COUNTERS))
    assert [guest.ebx | guest.ecx << 32, guest.eax | guest.edx << 32] == [
        offset + COUNTER_READ_NS,
        offset + 2 * COUNTER_READ_NS,
    ]


@pytest.mark.parametrize("cpu", CPU_MODELS)
@pytest.mark.parametrize("code", ["0fc7f0f4", "0fc7f8f4"])  # rdrand %eax; hlt. rdseed %eax; hlt
def test_there_is_no_randomness_of_the_host(make_guest, places, cpu, code):
    guest = make_guest(cpu, architecture=I386)
    stop = guest.run(bytes.fromhex(code))
    assert stop.detail.startswith(EXCEPTIONS[6])
    assert (stop.pc, guest.eax) == (places.code, 0)


@pytest.mark.parametrize("cpu", CPU_MODELS)
def test_the_models_can_do_what_the_page_tables_want(make_guest, cpu):
    guest = make_guest(cpu, architecture=I386)
    # mov $1, %eax; cpuid; mov %edx, %esi; mov $0x80000001, %eax; cpuid; hlt
    assert is_halted(guest.run(bytes.fromhex("b8010000000fa289d6b8010000800fa2f4")))
    assert guest.esi >> 6 & 1, "PAE"
    assert guest.edx >> 20 & 1, "NX"
