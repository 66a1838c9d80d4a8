"""Calling conventions as data (UEFI 2.10, section 2.3), and the few operations that read them.

A firmware service is entered at a *gate*: an address that holds nothing but the architecture's return
instruction. What a service needs to know of the CPU is here: where arguments are, where the result goes,
and how the firmware calls a guest function and gets control back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from efi_services.ports import Cpu, Memory

#: Distance between gates in bytes.
GATE_STEP = 16


@dataclass(frozen=True, slots=True)
class Abi:
    """One architecture's UEFI calling convention.

    Registers are named as the architecture's manual names them. `stack_arguments` is the distance in bytes
    from the stack pointer at a function's first instruction to its first stack argument, `shadow` the bytes a
    caller leaves for the callee below them. `link` is None where the return address lies on the stack.
    `preserved` are the registers that a function gives back unchanged. An argument wider than a pointer takes
    several slots, of which the first is a multiple of `wide_slots`. `state_bit` are bits of a function's address
    that are no address, but tell the CPU its instruction set.
    """

    name: str
    pointer_bytes: int
    argument_registers: tuple[str, ...]
    result: str
    pc: str
    sp: str
    link: str | None
    stack_arguments: int
    shadow: int
    stack_alignment: int
    preserved: tuple[str, ...]
    return_instruction: bytes
    system_table_signature: bytes = b"IBI SYST"
    runtime_granularity: int = 4096
    wide_slots: int = 1
    state_bit: int = 0

    @property
    def mask(self) -> int:
        """All ones in a natural-width value."""
        return (1 << (8 * self.pointer_bytes)) - 1

    def pack(self, value: int) -> bytes:
        """A natural-width value as it lies in memory."""
        return (value & self.mask).to_bytes(self.pointer_bytes, "little")

    def unpack(self, data: bytes) -> int:
        """The natural-width value at the start of *data*."""
        return int.from_bytes(data[: self.pointer_bytes], "little")

    def code_address(self, function: int) -> int:
        """Where the first instruction of a function lies, or the one to which a return address leads."""
        return function & ~self.state_bit

    def slots(self, widths: Sequence[int]) -> list[tuple[int, int]]:
        """The first slot of each of a function's arguments, and the one behind its last, by their widths in bytes."""
        places, at = [], 0
        for width in widths:
            count = -(-width // self.pointer_bytes)
            if count > 1:
                at = -(-at // self.wide_slots) * self.wide_slots
            places.append((at, at + count))
            at += count
        return places


X86_64 = Abi(
    name="x86_64",
    pointer_bytes=8,
    argument_registers=("rcx", "rdx", "r8", "r9"),
    result="rax",
    pc="rip",
    sp="rsp",
    link=None,
    stack_arguments=0x28,
    shadow=0x20,
    stack_alignment=16,
    preserved=(
        "rbx", "rbp", "rdi", "rsi", "r12", "r13", "r14", "r15",
        "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
    ),
    return_instruction=b"\xc3",
)  # fmt: skip

#: AAPCS64; of v8 to v15 a function keeps the lower halves.
AARCH64 = Abi(
    name="aarch64",
    pointer_bytes=8,
    argument_registers=("x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"),
    result="x0",
    pc="pc",
    sp="sp",
    link="x30",
    stack_arguments=0,
    shadow=0,
    stack_alignment=16,
    preserved=(*(f"x{i}" for i in range(18, 30)), *(f"d{i}" for i in range(8, 16))),
    return_instruction=b"\xc0\x03\x5f\xd6",
    runtime_granularity=64 * 1024,
)

#: LP64D of the RISC-V ELF psABI.
RISCV64 = Abi(
    name="riscv64",
    pointer_bytes=8,
    argument_registers=("a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7"),
    result="a0",
    pc="pc",
    sp="sp",
    link="ra",
    stack_arguments=0,
    shadow=0,
    stack_alignment=16,
    preserved=("gp", "tp", *(f"s{i}" for i in range(12)), *(f"fs{i}" for i in range(12))),
    return_instruction=b"\x67\x80\x00\x00",
)

#: cdecl (section 2.3.2): the caller takes the arguments from the stack.
I386 = Abi(
    name="i386",
    pointer_bytes=4,
    argument_registers=(),
    result="eax",
    pc="eip",
    sp="esp",
    link=None,
    stack_arguments=4,
    shadow=0,
    stack_alignment=16,
    preserved=("ebx", "ebp", "esi", "edi"),
    return_instruction=b"\xc3",
)

#: AAPCS (section 2.3.5): an argument of 64 bits takes an even register and the next, or eight aligned bytes of stack.
ARM = Abi(
    name="arm",
    pointer_bytes=4,
    argument_registers=("r0", "r1", "r2", "r3"),
    result="r0",
    pc="pc",
    sp="sp",
    link="lr",
    stack_arguments=0,
    shadow=0,
    stack_alignment=8,
    preserved=(*(f"r{i}" for i in range(4, 12)), *(f"d{i}" for i in range(8, 16))),
    return_instruction=b"\x1e\xff\x2f\xe1",
    wide_slots=2,
    state_bit=1,
)

ABIS: Mapping[str, Abi] = {abi.name: abi for abi in (X86_64, AARCH64, RISCV64, I386, ARM)}


class Entry(NamedTuple):
    """The CPU's state at a gate, as far as a call needs it; *caller* is the return address as the CPU has it."""

    stack: int
    caller: int
    registers: tuple[int, ...]


class Convention:
    """An `Abi` at work on a CPU and its memory."""

    def __init__(self, abi: Abi, cpu: Cpu, memory: Memory) -> None:
        self.abi = abi
        self._cpu = cpu
        self._memory = memory
        self._at_gate = (abi.sp, abi.link or abi.sp, *abi.argument_registers)
        self._preserved = (abi.sp, *abi.preserved)

    def enter(self) -> Entry:
        """Read the state at a gate in one batch."""
        stack, caller, *registers = self._cpu.read(self._at_gate)
        if self.abi.link is None:
            caller = int.from_bytes(self._memory.read(stack, self.abi.pointer_bytes), "little")
        return Entry(stack, caller, tuple(registers))

    def arguments(self, entry: Entry, first: int, count: int) -> list[int]:
        """Slots *first* to *first* + *count* - 1 of the arguments of the call at *entry*, natural width."""
        in_registers = len(entry.registers)
        values = list(entry.registers[first : first + count])
        if first + count > in_registers:
            width = self.abi.pointer_bytes
            skip = max(first - in_registers, 0)
            wanted = first + count - in_registers - skip
            start = entry.stack + self.abi.stack_arguments + skip * width
            data = self._memory.read(start, wanted * width)
            values += [int.from_bytes(data[i : i + width], "little") for i in range(0, len(data), width)]
        return values

    def values(self, entry: Entry, widths: Sequence[int]) -> list[int]:
        """The first arguments of the call at *entry*, which have these widths in bytes."""
        places = self.abi.slots(widths)
        slots = self.arguments(entry, 0, places[-1][1] if places else 0)
        bits = 8 * self.abi.pointer_bytes
        return [
            sum(slot << bits * i for i, slot in enumerate(slots[first:end])) if end - first > 1 else slots[first]
            for first, end in places
        ]

    def finish(self, value: int) -> None:
        """Set the result of a call whose gate will return by its own instruction."""
        self._cpu.write({self.abi.result: value})

    def save(self) -> tuple[int, ...]:
        """What a function must give back unchanged; `leave` restores it."""
        return tuple(self._cpu.read(self._preserved))

    def leave(self, saved: Sequence[int], caller: int, value: int) -> None:
        """Return to *caller* from a gate whose CPU went elsewhere meanwhile, with *value* as the result."""
        state = dict(zip(self._preserved, saved, strict=True))
        if self.abi.link is None:
            state[self.abi.sp] += self.abi.pointer_bytes
        self._cpu.write({**state, self.abi.result: value, self.abi.pc: caller})

    def call(self, function: int, arguments: Sequence[int], back: int, saved: Sequence[int]) -> None:
        """Make the CPU enter *function* with *arguments*, below the stack of *saved*; it returns to *back*."""
        abi = self.abi
        stack = saved[0]
        on_stack = arguments[len(abi.argument_registers) :]
        data = b"".join(abi.pack(argument) for argument in on_stack)
        stack = (stack - len(data)) & ~(abi.stack_alignment - 1) & abi.mask
        if data:
            self._memory.write(stack, data)
        stack -= abi.shadow
        state = dict(zip(abi.argument_registers, arguments, strict=False))
        if abi.link is None:
            stack -= abi.pointer_bytes
            self._memory.write(stack, abi.pack(back))
        else:
            state[abi.link] = back
        self._cpu.write({**state, abi.sp: stack, abi.pc: function})

    def result(self) -> int:
        """What a guest function returned."""
        (value,) = self._cpu.read((self.abi.result,))
        return value & self.abi.mask
