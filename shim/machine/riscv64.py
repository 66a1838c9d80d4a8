"""The RISC-V CPU in S-mode: register names, its state at the start of a payload, and what its exceptions mean.

Sections are those of the RISC-V privileged architecture, version 1.12. What a machine's own firmware does in M-mode,
below ours, is in `sbi.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import unicorn.riscv_const as riscv
from unicorn import UC_ARCH_RISCV, UC_MODE_RISCV64

from shim.machine import sbi
from shim.machine.architecture import Trap
from shim.machine.paging import EntryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.engine import Engine
    from shim.machine._native import Monitor

_GENERAL = (
    "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", *(f"a{i}" for i in range(8)),
    *(f"s{i}" for i in range(2, 12)), "t3", "t4", "t5", "t6", "pc",
)  # fmt: skip
_SUPERVISOR = ("satp", "sstatus", "sie", "stvec", "sscratch", "sepc", "scause", "stval", "scounteren")
_OTHER = (*(f"fs{i}" for i in range(12)), "fcsr", "priv")

REGISTERS: Mapping[str, int] = {
    name: getattr(riscv, f"UC_RISCV_REG_{name.upper()}") for name in (*_GENERAL, *_SUPERVISOR, *_OTHER)
}

#: What a hand-off reports.
HANDOFF_REGISTERS = (*_GENERAL, *_SUPERVISOR, "fcsr")

SUPERVISOR_MODE = 1
#: Sv48, four levels of tables (section 4.1.11).
SATP_MODE = 9 << 60
#: Floating point on, with its registers as at reset; interrupts enabled (section 4.1.1).
FS_INITIAL, INTERRUPTS = 1 << 13, 1 << 1
#: Of its counters the OS may read all.
COUNTERS = 7

#: cycle, time and instret.
_COUNTERS = (0xC00, 0xC01, 0xC02)
#: 10 MHz, as the machine virt of QEMU has it.
TICK_NS = 100

#: Section 4.1.9; Unicorn gives calls from all modes the number of the first.
EXCEPTIONS = {
    0: "instruction address misaligned", 1: "instruction access fault", 2: "illegal instruction", 3: "breakpoint",
    4: "load address misaligned", 5: "load access fault", 6: "store address misaligned", 7: "store access fault",
    8: "environment call", 12: "instruction page fault", 13: "load page fault", 15: "store page fault",
}  # fmt: skip
ENVIRONMENT_CALL = 8
_ILLEGAL, _FETCH_FAULT = 2, 12
_FETCHES, _STORES = (1, _FETCH_FAULT), (7, 15)
_MISALIGNED = (0, 4, 6)
_REFUSED = (1, 5, 7, 12, 13, 15)
_CALL_BYTES = 4

CPU_MODELS = {
    "rv64": riscv.UC_CPU_RISCV64_BASE64,
    "sifive-u54": riscv.UC_CPU_RISCV64_SIFIVE_U54,
}


class RiscV64:
    """The architecture, for the machine."""

    name = "riscv64"
    engine_mode = (UC_ARCH_RISCV, UC_MODE_RISCV64)
    cpu_models = CPU_MODELS
    registers = REGISTERS
    program_counter = "pc"
    #: The lower half of what Sv48 can map.
    address_limit = 1 << 47
    #: Section 4.4.1: accessed and dirty from the start, not for U-mode; bits 8 and 9 are software's.
    entry_format = EntryFormat(
        read=(3, 3), write=(4, 4), execute=(8, 8), known=1 << 8, lazy=1 << 9,
        page=0xC0, large_page=0xC0, table=(0xF, 1), shift=2,
    )  # fmt: skip
    descriptor_tables = b""
    #: Of all exceptions Unicorn tells only of this one in such a way.
    invalid_instruction = EXCEPTIONS[3]

    def prepare(self, engine: Engine, page_tables: int, descriptor_tables: int, stack: int) -> None:  # noqa: ARG002
        """S-mode, paging on, floating point on, a stack (UEFI 2.10, section 2.3.7)."""
        engine.write(riscv.UC_RISCV_REG_MCOUNTEREN, COUNTERS)
        engine.write(REGISTERS["priv"], SUPERVISOR_MODE)
        engine.write(REGISTERS["scounteren"], COUNTERS)
        engine.write(REGISTERS["sstatus"], FS_INITIAL | INTERRUPTS)
        engine.write(REGISTERS["satp"], SATP_MODE | page_tables >> 12)
        engine.write(REGISTERS["sp"], stack)

    def answer_reads(self, engine: Engine, monitor: Monitor) -> None:
        """RDTIME, RDCYCLE and RDINSTRET."""
        monitor.tick_ns = TICK_NS
        engine.answer_counters(_COUNTERS, monitor.counter_callback)

    def mask_interrupts(self, engine: Engine) -> None:
        """Clear SIE."""
        (status,) = engine.read((REGISTERS["sstatus"],))
        engine.write(REGISTERS["sstatus"], status & ~INTERRUPTS)

    def can_wake(self, engine: Engine) -> bool:  # noqa: ARG002
        """Always: an interrupt that is masked ends the wait, too."""
        return True

    def resume_address(self, engine: Engine, pc: int) -> int:  # noqa: ARG002
        """Where it stopped."""
        return pc

    def trap(self, engine: Engine, number: int) -> Trap:
        """A fault tells of an access, all others only of themselves. Unicorn has moved the CPU four bytes on.

        It also looks up the page before an instruction of zeroes at a page's start, which to it is of no length.
        """
        (pc,) = engine.read((REGISTERS["pc"],))
        pc = (pc - 4) % (1 << 64)
        name = EXCEPTIONS.get(number, f"exception {number}")
        if number == _FETCH_FAULT and engine.bad_address() < pc:
            return Trap(EXCEPTIONS[_ILLEGAL], pc=pc)
        if number in _REFUSED:
            return Trap(name, engine.bad_address(), number in _STORES, number in _FETCHES, pc)
        return Trap(f"{name}, {engine.bad_address():#x}" if number in _MISALIGNED else name, pc=pc)

    def emulate(self, engine: Engine, trap: Trap) -> sbi.Call | None:
        """Environment calls go to the SBI."""
        if trap.name != EXCEPTIONS[ENVIRONMENT_CALL]:
            return None
        numbers = tuple(REGISTERS[each] for each in ("pc", "a7", "a6", *(f"a{i}" for i in range(6))))
        pc, extension, function, *arguments = engine.read(numbers)
        made = sbi.call(pc, extension, function, tuple(arguments))
        engine.write(REGISTERS["a0"], made.error % (1 << 64))
        engine.write(REGISTERS["a1"], made.value)
        engine.write(REGISTERS["pc"], pc + _CALL_BYTES)
        return made

    def forget_trap(self, engine: Engine) -> None:
        """Nothing to forget."""

    def handoff_registers(self, engine: Engine) -> dict[str, int]:
        """The general registers, and those of S-mode."""
        numbers = tuple(REGISTERS[each] for each in HANDOFF_REGISTERS)
        return dict(zip(HANDOFF_REGISTERS, engine.read(numbers), strict=True))


RISCV64 = RiscV64()
