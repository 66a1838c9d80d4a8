"""The machine as such: gates, code that changes, budgets, the hand-off.

Every hand-assembled program is beside its assembly, and knows the places in conftest.py: code at 0x200000, data at
0x300000, a gate at 0x500000.
"""

import itertools
import struct

import pytest

from efi_services.ports import Access, MemoryFault
from shim.machine.paging import LARGE, PAGE

HALTED = "the CPU was halted for good"


def is_halted(stop):
    return stop.kind == "fault" and stop.detail.startswith(HALTED)


def jump_to(address):
    """mov $address, %rax; jmp *%rax."""
    return b"\x48\xb8" + address.to_bytes(8, "little") + b"\xff\xe0"


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


# Budgets.

# rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, %rbx; rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, %rsi; hlt
COUNTERS = bytes.fromhex("0f3148c1e2204809d04889c30f3148c1e2204809d04889c6f4")
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


def test_the_budget_counts_over_several_slices(guest):
    polls = []
    stop = guest.run(FOREVER, max_blocks=100, poll=lambda: polls.append(guest.machine.monitor.blocks), look_every=9)
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


def test_what_poll_says_ends_the_run(guest):
    answers = iter([None, None, "it is late"])
    stop = guest.run(FOREVER, poll=lambda: next(answers), look_every=10)
    assert (stop.kind, stop.detail) == ("budget", "it is late")
    assert guest.machine.monitor.blocks == 30


def test_exceptions_of_poll_come_out_of_run(guest):

    def poll():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guest.run(FOREVER, poll=poll, look_every=10)


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
@pytest.mark.parametrize("program", [CALLS, COUNTERS, FILL_LESS], ids=["calls", "counters", "fill"])
def test_slices_change_nothing(make_guest, size, program):
    """Where the machine looks up in between must not be seen in what the guest does: no block twice, no call twice."""

    def outcome(slice_size):
        guest = make_guest()
        guest.enter = lambda _address: guest.machine.clock.advance(1000)
        stop = guest.run(program, look_every=slice_size)
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


def test_blocks_are_known_at_a_gate(guest, places):
    """Whoever counts them, and however many may begin without being looked at."""
    seen = []
    guest.enter = lambda address: seen.append((guest.machine.monitor.blocks, guest.machine.monitor.previous == address))
    assert is_halted(guest.run(CALLS))
    assert seen == [(2 + 3 * each, True) for each in range(1000)]


def test_a_smaller_budget_holds_at_once(guest, places):
    def enter(_address):
        if len(guest.calls) == 10:
            guest.machine.monitor.limit = guest.machine.monitor.blocks + 1

    guest.enter = enter
    guest.run(CALLS, poll=lambda: "enough")
    assert guest.machine.monitor.blocks == 2 + 3 * 9 + 1


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
    guest.machine.watch(lambda *access: seen.append(access), lambda *_: None)
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
            guest.machine.watch(lambda *_: count.append(1), lambda *_: None)
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
    guest.machine.protect(places.data, 2 * PAGE, Access.RX)
    assert list(guest.machine.runs(places.data - PAGE, places.data + 3 * PAGE)) == [
        (places.data - PAGE, places.data, Access.RW),
        (places.data, places.data + 2 * PAGE, Access.RX),
        (places.data + 2 * PAGE, places.data + 3 * PAGE, Access.RW),
    ]
    assert list(guest.machine.runs(0, 2 * PAGE)) == [(0, PAGE, None), (PAGE, 2 * PAGE, Access.RW)]
    assert list(guest.machine.runs(places.size + LARGE, places.size + 2 * LARGE)) == [
        (places.size + LARGE, places.size + 2 * LARGE, None)
    ]
