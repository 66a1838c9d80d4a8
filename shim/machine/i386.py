"""An x86 CPU that starts a payload with 32 bits: register numbers, and its state then.

The CPU can do more: a kernel of 64 bits that 32-bit firmware starts switches to long mode, and back for each call.
Unicorn shows the lower halves of the registers, which is all that addresses need there.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from unicorn import UC_ARCH_X86, UC_MODE_32

from shim.machine.paging import EntryFormat
from shim.machine.x86 import EFER, FLAGS_VALUE, TABLES_BYTES, X86, numbers

if TYPE_CHECKING:
    from shim.engine import Engine

_GENERAL = ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp", "eip", "eflags")
_OTHER = ("cs", "ds", "es", "fs", "gs", "ss", "cr0", "cr2", "cr3", "cr4")

REGISTERS = numbers((*_GENERAL, *_OTHER))

CR0_VALUE = 0x8001_0033  # PG WP NE ET MP PE
CR4_VALUE = 0x668  # OSXMMEXCPT OSFXSR MCE PAE DE
EFER_VALUE = 0x800  # NXE

#: Selectors as EDK II has them.
DATA_SELECTOR, CODE_SELECTOR = 0x08, 0x10
_GDT = struct.pack(
    "<5Q",
    0,
    0x00CF_9300_0000_FFFF,  # 0x08 data
    0x00CF_9F00_0000_FFFF,  # 0x10 code
    0x00CF_9300_0000_FFFF,  # 0x18 data
    0x00CF_9F00_0000_FFFF,  # 0x20 code
)


class I386Architecture(X86):
    """The architecture, for the machine."""

    name = "i386"
    engine_mode = (UC_ARCH_X86, UC_MODE_32)
    registers = REGISTERS
    program_counter = "eip"
    flags = "eflags"
    counter = ("eax", "ecx", "edx")
    handoff = (*_GENERAL, "cs", "ds", "es", "fs", "gs", "ss", "cr0", "cr3", "cr4")
    address_limit = 1 << 32
    #: PAE paging, the only kind in which data can't be executed (Intel SDM volume 3, section 4.4): the first table
    #: has four entries, without permissions.
    entry_format = EntryFormat(
        read=(1, 1), write=(2, 2), execute=(1 << 63, 0), known=1 << 9, lazy=1 << 10,
        page=0, large_page=0x80, table=(0x81, 3), bits=32, root=1,
    )  # fmt: skip
    descriptor_tables = _GDT.ljust(TABLES_BYTES, b"\0")

    def prepare(self, engine: Engine, page_tables: int, descriptor_tables: int, stack: int) -> None:
        """Flat protected mode, PAE paging on, a stack (section 2.3.2)."""
        self.load_tables(engine, descriptor_tables, len(_GDT))
        engine.write(REGISTERS["cr3"], page_tables)
        engine.write(REGISTERS["cr4"], CR4_VALUE)
        engine.write_msr(EFER, EFER_VALUE)
        engine.write(REGISTERS["cr0"], CR0_VALUE)
        engine.write(REGISTERS["cs"], CODE_SELECTOR)
        for name in ("ds", "es", "fs", "gs", "ss"):
            engine.write(REGISTERS[name], DATA_SELECTOR)
        engine.write(REGISTERS["eflags"], FLAGS_VALUE)
        engine.write(REGISTERS["esp"], stack)


I386 = I386Architecture()
