"""The 32-bit Arm CPU in Supervisor mode: register numbers, its state at the start of a payload, and its exceptions.

Sections are those of the Arm Architecture Reference Manual for Armv7-A, DDI 0406.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import unicorn.arm_const as arm
from unicorn import UC_ARCH_ARM, UC_MODE_ARM

from shim.machine import aborts
from shim.machine.paging import EntryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.engine import Engine
    from shim.machine._native import Monitor
    from shim.machine.architecture import Trap

_GENERAL = (*(f"r{i}" for i in range(13)), "sp", "lr", "pc", "cpsr")
_OTHER = (*(f"d{i}" for i in range(8, 16)), "fpexc")

REGISTERS: Mapping[str, int] = {name: getattr(arm, f"UC_ARM_REG_{name.upper()}") for name in (*_GENERAL, *_OTHER)}

#: Registers of coprocessor 15, of the Non-secure state where there are two: CRn, CRm, opc1, opc2, and whether it has
#: 64 bits.
SYSTEM = {
    "scr": (1, 1, 0, 0, 0),
    "nsacr": (1, 1, 0, 2, 0),
    "sctlr": (1, 0, 0, 0, 0),
    "cpacr": (1, 0, 0, 2, 0),
    "ttbcr": (2, 0, 0, 2, 0),
    "ttbr0": (0, 2, 0, 0, 1),
    "dacr": (3, 0, 0, 0, 0),
    "mair0": (10, 2, 0, 0, 0),
    "vbar": (12, 0, 0, 0, 0),
    "cntfrq": (14, 0, 0, 0, 0),
}
#: What a hand-off reports besides the general registers.
HANDOFF_SYSTEM = ("sctlr", "cpacr", "ttbcr", "ttbr0", "dacr", "mair0", "vbar", "cntfrq")

#: Non-secure state, in which the OS is to run; it may use floating point.
SCR_VALUE, NSACR_VALUE = 1, 3 << 10
CPACR_VALUE, FPEXC_VALUE = 0xF << 20, 1 << 30
#: Long descriptors, the only ones with the shape of other architectures': TTBR0 for all addresses, walks
#: inner-shareable and write-back (section B4.1.153).
TTBCR_VALUE = 1 << 31 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8
#: Device, not cacheable, write-through, write-back, in the order of EDK II.
MAIR_VALUE = 0xFF_BB_44_00
#: All domains are clients; long descriptors have none.
DACR_VALUE = 0x5555_5555
#: MMU, caches and branch prediction on, alignment not checked; the rest are bits that have to be one.
SCTLR_VALUE = 0x00C5_187D
#: Supervisor mode, A32; interrupts are enabled, FIQ and asynchronous aborts are not.
CPSR_VALUE = 0x153
MASKED = 0x1C0
THUMB = 1 << 5

#: 62.5 MHz, as CNTFRQ has it.
TICK_NS = 16

#: Those that have long descriptors.
CPU_MODELS = {
    "cortex-a15": arm.UC_CPU_ARM_CORTEX_A15,
    "cortex-a7": arm.UC_CPU_ARM_CORTEX_A7,
}


class Arm:
    """The architecture, for the machine."""

    name = "arm"
    engine_mode = (UC_ARCH_ARM, UC_MODE_ARM)
    cpu_models = CPU_MODELS
    registers = REGISTERS
    program_counter = "pc"
    address_limit = 1 << 32
    #: Section B3.6: normal memory, write-back and inner-shareable, accessed, not for User mode. PL1 may execute a
    #: page or nobody may; bits 55 and 56 are software's.
    entry_format = EntryFormat(
        read=(1, 1), write=(1 << 7, 0), execute=(3 << 53, 0), known=1 << 55, lazy=1 << 56,
        page=1 << 10 | 3 << 8 | 3 << 2 | 2, large_page=1 << 10 | 3 << 8 | 3 << 2, table=(3, 3), bits=32,
    )  # fmt: skip
    descriptor_tables = b""
    invalid_instruction = aborts.UNDEFINED

    def prepare(self, engine: Engine, page_tables: int, descriptor_tables: int, stack: int) -> None:  # noqa: ARG002
        """Supervisor mode, MMU and caches on, unaligned accesses allowed, a stack (section 2.3.5)."""
        values = {
            "scr": SCR_VALUE,
            "nsacr": NSACR_VALUE,
            "cpacr": CPACR_VALUE,
            "dacr": DACR_VALUE,
            "mair0": MAIR_VALUE,
            "ttbcr": TTBCR_VALUE,
            "ttbr0": page_tables,
            "sctlr": SCTLR_VALUE,
        }
        for name, value in values.items():
            engine.write_coprocessor(SYSTEM[name], value)
        engine.write(REGISTERS["fpexc"], FPEXC_VALUE)
        engine.write(REGISTERS["cpsr"], CPSR_VALUE)
        engine.write(REGISTERS["sp"], stack)

    def answer_reads(self, engine: Engine, monitor: Monitor) -> None:
        """The generic timer's counters, at QEMU's frequency, and the cycle counter.

        Code that reads something else of what Unicorn makes of the host's clock is noted: such a run is not
        deterministic.
        """
        monitor.tick_ns = TICK_NS
        monitor.read, monitor.read_memory = engine.read_function, engine.read_memory_function
        monitor.cpsr, monitor.r0, monitor.lr, monitor.pc = (REGISTERS[each] for each in ("cpsr", "r0", "lr", "pc"))
        engine.hook_native_translations(monitor.translation_callback, monitor.state)

    def mask_interrupts(self, engine: Engine) -> None:
        """Set A, I and F."""
        (state,) = engine.read((REGISTERS["cpsr"],))
        engine.write(REGISTERS["cpsr"], state | MASKED)

    def can_wake(self, engine: Engine) -> bool:  # noqa: ARG002
        """Always: an interrupt that is masked ends the wait, too."""
        return True

    def resume_address(self, engine: Engine, pc: int) -> int:
        """Bit 0 tells Unicorn the instruction set."""
        (state,) = engine.read((REGISTERS["cpsr"],))
        return pc | 1 if state & THUMB else pc

    def trap(self, engine: Engine, number: int) -> Trap:
        """An abort tells of an access, all others only of themselves."""
        return aborts.trap(engine, number, "prefetch abort")

    def emulate(self, engine: Engine, trap: Trap) -> None:
        """There is nothing below the firmware."""

    def forget_trap(self, engine: Engine) -> None:
        """Nothing to forget."""

    def handoff_registers(self, engine: Engine) -> dict[str, int]:
        """The general registers, and what controls the MMU."""
        numbers = tuple(REGISTERS[each] for each in _GENERAL)
        values = dict(zip(_GENERAL, engine.read(numbers), strict=True))
        return values | {each: engine.read_coprocessor(SYSTEM[each]) for each in HANDOFF_SYSTEM}


ARM = Arm()
