"""The x86-64 CPU: register numbers, its state at the start of a payload, and what its exceptions mean."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import unicorn.x86_const as x86
from unicorn import UC_ARCH_X86, UC_MODE_64

from shim.machine.architecture import Trap
from shim.machine.paging import EntryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.engine import Engine
    from shim.machine._native import Monitor

_GENERAL = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
)  # fmt: skip
_OTHER = ("cs", "ds", "es", "fs", "gs", "ss", "cr0", "cr2", "cr3", "cr4", *(f"xmm{i}" for i in range(16)))

REGISTERS: Mapping[str, int] = {name: getattr(x86, f"UC_X86_REG_{name.upper()}") for name in (*_GENERAL, *_OTHER)}

#: What a hand-off reports.
HANDOFF_REGISTERS = (*_GENERAL, "cs", "ds", "es", "fs", "gs", "ss", "cr0", "cr3", "cr4")

EFER = 0xC000_0080
CR0_VALUE = 0x8001_0033  # PG WP NE ET MP PE
CR4_VALUE = 0x668  # OSXMMEXCPT OSFXSR MCE PAE DE
EFER_VALUE = 0xD00  # NXE LMA LME

#: Selectors as EDK II has them.
DATA_SELECTOR, CODE_SELECTOR = 0x30, 0x38
_GDT = struct.pack(
    "<8Q",
    0,
    0x00CF_9200_0000_FFFF,  # 0x08 data
    0x00CF_9F00_0000_FFFF,  # 0x10 32-bit code
    0x00CF_9300_0000_FFFF,  # 0x18 data
    0x00CF_9F00_0000_FFFF,  # 0x20 32-bit code
    0,
    0x00CF_9300_0000_FFFF,  # 0x30 data
    0x00AF_9B00_0000_FFFF,  # 0x38 64-bit code
)
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
CPU_MODELS = {
    "nehalem": x86.UC_CPU_X86_NEHALEM,
    "westmere": x86.UC_CPU_X86_WESTMERE,
    "sandybridge": x86.UC_CPU_X86_SANDYBRIDGE,
}
INTERRUPT_FLAG = 0x200


class X8664:
    """The architecture, for the machine."""

    name = "x86_64"
    engine_mode = (UC_ARCH_X86, UC_MODE_64)
    cpu_models = CPU_MODELS
    registers = REGISTERS
    program_counter = "rip"
    #: The lower half of what four-level page tables can map; the upper half is the kernel's.
    address_limit = 1 << 47
    #: Intel SDM volume 3, section 4.5.
    entry_format = EntryFormat(
        read=(1, 1), write=(2, 2), execute=(1 << 63, 0), known=1 << 9, lazy=1 << 10,
        page=0, large_page=0x80, table=(0x81, 3),
    )  # fmt: skip
    descriptor_tables = _GDT.ljust(TABLES_BYTES, b"\0")
    invalid_instruction = EXCEPTIONS[6]

    def prepare(self, engine: Engine, page_tables: int, descriptor_tables: int, stack: int) -> None:
        """Long mode, paging on, a stack (section 2.3.4)."""
        engine.write(x86.UC_X86_REG_GDTR, (0, descriptor_tables, len(_GDT) - 1, 0))
        engine.write(x86.UC_X86_REG_IDTR, (0, descriptor_tables + _IDT_OFFSET, _IDT_BYTES - 1, 0))
        engine.write(REGISTERS["cr3"], page_tables)
        engine.write(REGISTERS["cr4"], CR4_VALUE)
        engine.write_msr(EFER, EFER_VALUE)
        engine.write(REGISTERS["cr0"], CR0_VALUE)
        engine.write(REGISTERS["cs"], CODE_SELECTOR)
        for name in ("ds", "es", "fs", "gs", "ss"):
            engine.write(REGISTERS[name], DATA_SELECTOR)
        engine.write(REGISTERS["rflags"], 0x202)
        engine.write(REGISTERS["rsp"], stack)

    def answer_clock_reads(self, engine: Engine, monitor: Monitor) -> None:
        """RDTSC and RDTSCP."""
        monitor.rax, monitor.rcx, monitor.rdx = (REGISTERS[each] for each in ("rax", "rcx", "rdx"))
        engine.hook_native_instruction(x86.UC_X86_INS_RDTSC, monitor.rdtsc_callback, monitor.state)
        engine.hook_native_instruction(x86.UC_X86_INS_RDTSCP, monitor.rdtscp_callback, monitor.state)

    def mask_interrupts(self, engine: Engine) -> None:
        """Clear the interrupt flag."""
        (flags,) = engine.read((REGISTERS["rflags"],))
        engine.write(REGISTERS["rflags"], flags & ~INTERRUPT_FLAG)

    def trap(self, engine: Engine, number: int) -> Trap:
        """A page fault tells of an access, all others only of themselves."""
        if number != PAGE_FAULT:
            return Trap(EXCEPTIONS.get(number, f"interrupt {number:#x}"))
        code = engine.error_code()
        (address,) = engine.read((REGISTERS["cr2"],))
        return Trap(EXCEPTIONS[PAGE_FAULT], address, code & FAULT_WRITE != 0, code & FAULT_FETCH != 0)

    def emulate(self, engine: Engine, trap: Trap) -> bool:  # noqa: ARG002
        """There is nothing below the firmware."""
        return False

    def forget_trap(self, engine: Engine) -> None:
        """Else a second one would count as a double fault."""
        engine.forget_exception()

    def handoff_registers(self, engine: Engine) -> dict[str, int]:
        """The general and segment registers, what controls paging, and where the descriptor tables are."""
        numbers = tuple(REGISTERS[each] for each in HANDOFF_REGISTERS)
        values = dict(zip(HANDOFF_REGISTERS, engine.read(numbers), strict=True))
        values["efer"] = engine.read_msr(EFER)
        for name, number in (("gdt", x86.UC_X86_REG_GDTR), ("idt", x86.UC_X86_REG_IDTR)):
            _, values[f"{name}_base"], values[f"{name}_limit"], _ = engine.read_descriptor(number)
        return values


X86_64 = X8664()
