"""The x86-64 CPU: register numbers, and its state at the start of a payload."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from unicorn import UC_ARCH_X86, UC_MODE_64

from shim.machine.paging import EntryFormat
from shim.machine.x86 import EFER, FLAGS_VALUE, TABLES_BYTES, X86, numbers

if TYPE_CHECKING:
    from shim.engine import Engine

_GENERAL = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
)  # fmt: skip
_OTHER = ("cs", "ds", "es", "fs", "gs", "ss", "cr0", "cr2", "cr3", "cr4", *(f"xmm{i}" for i in range(16)))

REGISTERS = numbers((*_GENERAL, *_OTHER))

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


class X8664(X86):
    """The architecture, for the machine."""

    name = "x86_64"
    engine_mode = (UC_ARCH_X86, UC_MODE_64)
    registers = REGISTERS
    program_counter = "rip"
    flags = "rflags"
    counter = ("rax", "rcx", "rdx")
    handoff = (*_GENERAL, "cs", "ds", "es", "fs", "gs", "ss", "cr0", "cr3", "cr4")
    #: The lower half of what four-level page tables can map; the upper half is the kernel's.
    address_limit = 1 << 47
    #: Intel SDM volume 3, section 4.5.
    entry_format = EntryFormat(
        read=(1, 1), write=(2, 2), execute=(1 << 63, 0), known=1 << 9, lazy=1 << 10,
        page=0, large_page=0x80, table=(0x81, 3),
    )  # fmt: skip
    descriptor_tables = _GDT.ljust(TABLES_BYTES, b"\0")

    def prepare(self, engine: Engine, page_tables: int, descriptor_tables: int, stack: int) -> None:
        """Long mode, paging on, a stack (section 2.3.4)."""
        self.load_tables(engine, descriptor_tables, len(_GDT))
        engine.write(REGISTERS["cr3"], page_tables)
        engine.write(REGISTERS["cr4"], CR4_VALUE)
        engine.write_msr(EFER, EFER_VALUE)
        engine.write(REGISTERS["cr0"], CR0_VALUE)
        engine.write(REGISTERS["cs"], CODE_SELECTOR)
        for name in ("ds", "es", "fs", "gs", "ss"):
            engine.write(REGISTERS[name], DATA_SELECTOR)
        engine.write(REGISTERS["rflags"], FLAGS_VALUE)
        engine.write(REGISTERS["rsp"], stack)


X86_64 = X8664()
