from dataclasses import replace

import pytest

from efi_services.abi import AARCH64, ABIS, ARM, I386, RISCV64, X86_64, Convention, Entry


@pytest.fixture
def cpu(fakes):
    return fakes.Cpu()


@pytest.fixture
def memory(fakes):
    return fakes.Memory()


@pytest.fixture
def linked(cpu):
    """A convention whose return address is in a register."""
    cpu.registers.update(x30=0x9999, x0=1, x1=2, pc=0)
    return replace(
        X86_64, name="linked", argument_registers=("x0", "x1"), result="x0", pc="pc", link="x30", stack_arguments=0,
        shadow=0, preserved=("rbx",),
    )  # fmt: skip


def test_the_ready_conventions_go_by_their_own_names():
    assert all(abi.name == name for name, abi in ABIS.items())


def test_a_call_as_aapcs64_has_it(cpu, memory, specification):
    """Eight arguments in registers and the rest on the stack from its top; the return address is in X30."""
    stack = specification.base + 0x2000
    values = [0x1000 + i for i in range(10)]
    cpu.registers.update({f"x{i}": values[i] for i in range(8)}, sp=stack, x30=0x7777, pc=0)
    cpu.registers.update(dict.fromkeys(AARCH64.preserved, 5))
    memory.write(stack, AARCH64.pack(values[8]) + AARCH64.pack(values[9]))
    convention = Convention(AARCH64, cpu, memory)
    entry = convention.enter()
    assert (entry.stack, entry.caller) == (stack, 0x7777)
    assert list(convention.arguments(entry, 0, 10)) == values
    assert list(convention.arguments(entry, 8, 2)) == values[8:]
    saved = convention.save()
    convention.call(0x5000, values, 0x6000, saved)
    assert (cpu.registers["pc"], cpu.registers["x30"]) == (0x5000, 0x6000)
    assert cpu.registers["sp"] == stack - 16
    assert memory.read(stack - 16, 16) == AARCH64.pack(values[8]) + AARCH64.pack(values[9])
    cpu.registers.update(dict.fromkeys(AARCH64.preserved, 0), x0=9)
    assert convention.result() == 9
    convention.leave(saved, entry.caller, 3)
    assert (cpu.registers["pc"], cpu.registers["sp"], cpu.registers["x0"]) == (0x7777, stack, 3)
    assert {cpu.registers[name] for name in AARCH64.preserved} == {5}


def test_a_call_as_lp64_has_it(cpu, memory, specification):
    """Eight arguments in registers and the rest on the stack from its top; the return address is in ra."""
    stack = specification.base + 0x2000
    values = [0x1000 + i for i in range(9)]
    cpu.registers.update({f"a{i}": values[i] for i in range(8)}, sp=stack, ra=0x7777, pc=0)
    memory.write(stack, RISCV64.pack(values[8]))
    convention = Convention(RISCV64, cpu, memory)
    entry = convention.enter()
    assert (entry.stack, entry.caller) == (stack, 0x7777)
    assert list(convention.arguments(entry, 0, 9)) == values
    assert {"s0", "s11", "fs0", "fs11", "gp", "tp"} < set(RISCV64.preserved)
    assert {*(f"{kind}{i}" for kind in "at" for i in range(7)), "ra"}.isdisjoint(RISCV64.preserved)


def test_natural_width(i386):
    assert X86_64.mask == (1 << 64) - 1
    assert i386.mask == (1 << 32) - 1
    assert i386.pack(-1) == b"\xff" * 4
    assert i386.unpack(b"\1\2\0\0\xff") == 0x201
    assert X86_64.unpack(X86_64.pack(1 << 64 | 5)) == 5


@pytest.mark.parametrize(("first", "count"), [(0, 0), (0, 4), (0, 7), (2, 4), (4, 2), (5, 2), (3, 1), (6, 1)])
def test_arguments_come_from_registers_then_from_the_stack(cpu, memory, specification, first, count):
    stack = specification.base + 0x100
    values = [0x1111 * (i + 1) for i in range(8)]
    for i, value in enumerate(values[4:]):
        memory.write(stack + 0x28 + 8 * i, X86_64.pack(value))
    entry = Entry(stack, 0, tuple(values[:4]))
    assert list(Convention(X86_64, cpu, memory).arguments(entry, first, count)) == values[first : first + count]


def test_the_caller_is_on_the_stack_or_in_the_link_register(cpu, memory, specification, linked):
    cpu.registers["rsp"] = specification.base + 0x100
    memory.write(specification.base + 0x100, X86_64.pack(0x7777))
    assert Convention(X86_64, cpu, memory).enter().caller == 0x7777
    assert Convention(linked, cpu, memory).enter() == Entry(specification.base + 0x100, 0x9999, (1, 2))


def test_a_call_with_six_arguments(cpu, memory, specification):
    cpu.registers["rsp"] = specification.base + 0x1005
    convention = Convention(X86_64, cpu, memory)
    saved = convention.save()
    convention.call(0xF00, (1, 2, 3, 4, 5, 6), 0xBAC0, saved)
    stack = cpu.registers["rsp"]
    assert cpu.registers["rip"] == 0xF00
    assert [cpu.registers[each] for each in ("rcx", "rdx", "r8", "r9")] == [1, 2, 3, 4]
    assert stack % 16 == 8
    assert X86_64.unpack(memory.read(stack, 8)) == 0xBAC0
    # Behind the return address: 32 bytes that the function may use, then the fifth argument.
    assert memory.read(stack + 0x28, 16) == X86_64.pack(5) + X86_64.pack(6)
    assert stack + 0x28 + 16 <= saved[0]


def test_a_call_with_a_link_register(cpu, memory, specification, linked):
    cpu.registers["rsp"] = specification.base + 0x1005
    convention = Convention(linked, cpu, memory)
    convention.call(0xF00, (1, 2, 3), 0xBAC0, convention.save())
    assert cpu.registers["x30"] == 0xBAC0
    assert cpu.registers["rsp"] == specification.base + 0xFF0
    assert memory.read(cpu.registers["rsp"], 8) == X86_64.pack(3)


def test_leaving_restores_what_a_function_preserves(cpu, memory, specification, linked):
    for abi, step, pc in ((X86_64, 8, "rip"), (linked, 0, "pc")):
        cpu.registers.update(rsp=specification.base + 0x100, rbx=0xB)
        convention = Convention(abi, cpu, memory)
        saved = convention.save()
        cpu.registers.update(rsp=0, rbx=0)
        convention.leave(saved, 0xCA11, 42)
        assert cpu.registers["rsp"] == specification.base + 0x100 + step
        assert cpu.registers["rbx"] == 0xB
        assert cpu.registers[abi.result] == 42
        assert cpu.registers[pc] == 0xCA11


def test_finishing_leaves_the_return_to_the_cpu(cpu, memory):
    Convention(X86_64, cpu, memory).finish(7)
    assert cpu.registers["rax"] == 7
    assert not cpu.moved


def test_a_result_is_of_natural_width(cpu, memory, i386):
    cpu.registers.update(eax=0xFFFF_FFFF_0000_0001, esp=0)
    assert Convention(i386, cpu, memory).result() == 1


# Pointers of 32 bits.

#: Arguments by their widths, and the slots that they take with cdecl and with AAPCS.
PLACES = [
    ((), [], []),
    ((4, 4, 4), [(0, 1), (1, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]),
    ((1, 2, 8), [(0, 1), (1, 2), (2, 4)], [(0, 1), (1, 2), (2, 4)]),
    ((4, 8, 4), [(0, 1), (1, 3), (3, 4)], [(0, 1), (2, 4), (4, 5)]),
    # What doesn't fit into the last register goes onto the stack whole.
    ((4, 4, 4, 8, 4), [(0, 1), (1, 2), (2, 3), (3, 5), (5, 6)], [(0, 1), (1, 2), (2, 3), (4, 6), (6, 7)]),
    ((4, 8, 8, 4, 8), [(0, 1), (1, 3), (3, 5), (5, 6), (6, 8)], [(0, 1), (2, 4), (4, 6), (6, 7), (8, 10)]),
]


@pytest.mark.parametrize(("widths", "cdecl", "aapcs"), PLACES)
def test_wide_arguments_take_several_slots(widths, cdecl, aapcs):
    assert I386.slots(widths) == cdecl
    assert ARM.slots(widths) == aapcs
    assert X86_64.slots(widths) == AARCH64.slots(widths) == [(n, n + 1) for n in range(len(widths))]


@pytest.mark.parametrize(("widths", "cdecl", "aapcs"), PLACES)
def test_the_values_of_wide_arguments(cpu, memory, specification, widths, cdecl, aapcs):
    """Each slot holds a number of its own, so that a mistaken slot shows."""
    stack = specification.base + 0x100
    slots = [0x8000_0000 + 0x1111 * n for n in range(16)]
    for n, slot in enumerate(slots):
        memory.write(stack + 4 + 4 * n, I386.pack(slot))
        if n >= 4:
            memory.write(stack + 0x200 + 4 * (n - 4), ARM.pack(slot))
    for abi, at, registers, places in ((I386, stack, (), cdecl), (ARM, stack + 0x200, tuple(slots[:4]), aapcs)):
        values = Convention(abi, cpu, memory).values(Entry(at, 0, registers), widths)
        assert values == [
            slots[first] if end == first + 1 else slots[first] | slots[first + 1] << 32 for first, end in places
        ]


def test_a_function_of_the_guest_is_called_as_cdecl_has_it(cpu, memory, specification):
    cpu.registers.update(dict.fromkeys(I386.preserved, 7), esp=specification.base + 0x1005, eip=0)
    convention = Convention(I386, cpu, memory)
    saved = convention.save()
    convention.call(0xF00, (0x11, 0x22), 0xBAC0, saved)
    stack = cpu.registers["esp"]
    assert (cpu.registers["eip"], (stack + 4) % 16) == (0xF00, 0)
    assert memory.read(stack, 12) == I386.pack(0xBAC0) + I386.pack(0x11) + I386.pack(0x22)
    assert stack + 12 <= saved[0]


def test_a_function_of_the_guest_is_called_as_aapcs_has_it(cpu, memory, specification):
    """The return address and the function's tell the instruction set in their lowest bit, and keep it."""
    stack = specification.base + 0x1000
    cpu.registers.update(dict.fromkeys((*ARM.argument_registers, *ARM.preserved), 7), sp=stack, lr=0x7777, pc=0)
    convention = Convention(ARM, cpu, memory)
    entry = convention.enter()
    assert (entry.caller, ARM.code_address(entry.caller)) == (0x7777, 0x7776)
    saved = convention.save()
    convention.call(0xF01, (1, 2, 3, 4, 5), 0xBAC0, saved)
    assert [cpu.registers[each] for each in ("pc", "lr", "r0", "r3", "sp")] == [0xF01, 0xBAC0, 1, 4, stack - 8]
    assert memory.read(stack - 8, 4) == ARM.pack(5)
    convention.leave(saved, entry.caller, 9)
    assert [cpu.registers[each] for each in ("pc", "r0", "sp")] == [0x7777, 9, stack]


def test_where_addresses_have_no_further_meaning_code_is_where_they_say():
    assert {abi.code_address(0x7777) for abi in (X86_64, AARCH64, I386)} == {0x7777}
