"""What x86 CPUs have in common, whether they start a payload with 64 bits or with 32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import unicorn.x86_const as x86

from shim.machine.architecture import Trap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shim.engine import Engine
    from shim.machine._native import Monitor

EFER = 0xC000_0080

#: Room for the descriptor tables: the GDT, and an IDT of 256 gates that are all absent.
TABLES_BYTES = 8192
_IDT_OFFSET, _IDT_BYTES = 4096, 4096

EXCEPTIONS = {
    0: "divide error (#DE)", 1: "debug exception (#DB)", 2: "non-maskable interrupt", 3: "breakpoint (#BP)",
    4: "overflow (#OF)", 5: "bound range exceeded (#BR)", 6: "invalid opcode (#UD)", 7: "no coprocessor (#NM)",
    8: "double fault (#DF)", 10: "invalid TSS (#TS)", 11: "segment not present (#NP)", 12: "stack fault (#SS)",
    13: "general protection fault (#GP)", 14: "page fault (#PF)", 16: "x87 error (#MF)", 17: "alignment check (#AC)",
    18: "machine check (#MC)", 19: "SIMD error (#XM)",
}  # fmt: skip
PAGE_FAULT = 14
#: In the error code of a page fault: it was a write, it was an instruction fetch.
FAULT_WRITE, FAULT_FETCH = 2, 16

#: A model without RDRAND makes the instruction fault as on such a CPU; with it, Unicorn would answer with the host's
#: randomness.
CPU_MODELS: Mapping[str, int] = {
    "nehalem": x86.UC_CPU_X86_NEHALEM,
    "westmere": x86.UC_CPU_X86_WESTMERE,
    "sandybridge": x86.UC_CPU_X86_SANDYBRIDGE,
}
INTERRUPT_FLAG = 0x200
#: Interrupts enabled; the bit that is always one.
FLAGS_VALUE = 0x202


def numbers(names: Iterable[str]) -> dict[str, int]:
    """Unicorn's numbers of registers."""
    return {name: getattr(x86, f"UC_X86_REG_{name.upper()}") for name in names}


def absent_port(_port: int, size: int) -> int:
    """What a read of *size* bytes gives where nothing is behind the port."""
    return (1 << 8 * size) - 1


class X86:
    """The part of an architecture that doesn't depend on its width."""

    registers: Mapping[str, int]
    cpu_models = CPU_MODELS
    invalid_instruction = EXCEPTIONS[6]
    #: The names of the flags register, and of those in which RDTSC and RDTSCP answer.
    flags: str
    counter: tuple[str, str, str]
    #: What a hand-off reports.
    handoff: tuple[str, ...]

    def load_tables(self, engine: Engine, descriptor_tables: int, gdt_bytes: int) -> None:
        """Let GDTR and IDTR lead to the descriptor tables."""
        engine.write(x86.UC_X86_REG_GDTR, (0, descriptor_tables, gdt_bytes - 1, 0))
        engine.write(x86.UC_X86_REG_IDTR, (0, descriptor_tables + _IDT_OFFSET, _IDT_BYTES - 1, 0))

    def answer_reads(self, engine: Engine, monitor: Monitor) -> None:
        """RDTSC and RDTSCP; and the timers behind ports, which aren't there.

        Nothing is behind any port, so all read as ones, as those of a real bus do. GRUB asks the interval timer whether
        it is there, and would wait for one that reads as zeroes for ever.
        """
        monitor.rax, monitor.rcx, monitor.rdx = (self.registers[each] for each in self.counter)
        engine.hook_native_instruction(x86.UC_X86_INS_RDTSC, monitor.rdtsc_callback, monitor.state)
        engine.hook_native_instruction(x86.UC_X86_INS_RDTSCP, monitor.rdtscp_callback, monitor.state)
        engine.hook_port_reads(absent_port)

    def mask_interrupts(self, engine: Engine) -> None:
        """Clear the interrupt flag."""
        (flags,) = engine.read((self.registers[self.flags],))
        engine.write(self.registers[self.flags], flags & ~INTERRUPT_FLAG)

    def can_wake(self, engine: Engine) -> bool:
        """Only while the interrupt flag is set."""
        (flags,) = engine.read((self.registers[self.flags],))
        return bool(flags & INTERRUPT_FLAG)

    def resume_address(self, engine: Engine, pc: int) -> int:  # noqa: ARG002
        """Where it stopped."""
        return pc

    def trap(self, engine: Engine, number: int) -> Trap:
        """A page fault tells of an access, all others only of themselves."""
        if number != PAGE_FAULT:
            return Trap(EXCEPTIONS.get(number, f"interrupt {number:#x}"))
        code = engine.error_code()
        (address,) = engine.read((self.registers["cr2"],))
        return Trap(EXCEPTIONS[PAGE_FAULT], address, code & FAULT_WRITE != 0, code & FAULT_FETCH != 0)

    def emulate(self, engine: Engine, trap: Trap) -> None:
        """There is nothing below the firmware."""

    def forget_trap(self, engine: Engine) -> None:
        """Else a second one would count as a double fault."""
        engine.forget_exception()

    def handoff_registers(self, engine: Engine) -> dict[str, int]:
        """The general and segment registers, what controls paging, and where the descriptor tables are."""
        wanted = tuple(self.registers[each] for each in self.handoff)
        values = dict(zip(self.handoff, engine.read(wanted), strict=True))
        values["efer"] = engine.read_msr(EFER)
        for name, number in (("gdt", x86.UC_X86_REG_GDTR), ("idt", x86.UC_X86_REG_IDTR)):
            _, values[f"{name}_base"], values[f"{name}_limit"], _ = engine.read_descriptor(number)
        return values
