"""The x86-64 CPU: register numbers, its state at the start of a payload, and what its exceptions mean."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import unicorn.x86_const as x86
from unicorn import UC_ARCH_X86, UC_ERR_INSN_INVALID, UC_MODE_64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.engine import Engine

ARCH, MODE = UC_ARCH_X86, UC_MODE_64

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
#: The error by which Unicorn tells of an invalid opcode.
INVALID_INSTRUCTION = UC_ERR_INSN_INVALID

#: Unicorn's models, by the names that a platform gives. A model without RDRAND makes the instruction fault as
#: on such a CPU; with it, Unicorn would answer with the host's randomness.
CPU_MODELS = {
    "nehalem": x86.UC_CPU_X86_NEHALEM,
    "westmere": x86.UC_CPU_X86_WESTMERE,
    "sandybridge": x86.UC_CPU_X86_SANDYBRIDGE,
}


def descriptor_tables() -> bytes:
    """GDT and IDT as they lie in guest memory."""
    return _GDT.ljust(TABLES_BYTES, b"\0")


def prepare(engine: Engine, page_tables: int, tables: int, stack: int) -> None:
    """The state in which UEFI starts an image (UEFI 2.10, section 2.3.4): long mode, paging on, a stack."""
    engine.write(x86.UC_X86_REG_GDTR, (0, tables, len(_GDT) - 1, 0))
    engine.write(x86.UC_X86_REG_IDTR, (0, tables + _IDT_OFFSET, _IDT_BYTES - 1, 0))
    engine.write(REGISTERS["cr3"], page_tables)
    engine.write(REGISTERS["cr4"], CR4_VALUE)
    engine.write_msr(EFER, EFER_VALUE)
    engine.write(REGISTERS["cr0"], CR0_VALUE)
    engine.write(REGISTERS["cs"], CODE_SELECTOR)
    for name in ("ds", "es", "fs", "gs", "ss"):
        engine.write(REGISTERS[name], DATA_SELECTOR)
    engine.write(REGISTERS["rflags"], 0x202)
    engine.write(REGISTERS["rsp"], stack)


def descriptor_registers(engine: Engine) -> dict[str, tuple[int, int]]:
    """Base and limit of GDT and IDT."""
    found = {}
    for name, number in (("gdt", x86.UC_X86_REG_GDTR), ("idt", x86.UC_X86_REG_IDTR)):
        _, base, limit, _ = engine.read_descriptor(number)
        found[name] = (base, limit)
    return found


RDTSC, RDTSCP = x86.UC_X86_INS_RDTSC, x86.UC_X86_INS_RDTSCP
INTERRUPT_FLAG = 0x200
