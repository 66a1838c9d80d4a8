"""The AArch64 CPU at EL1 or EL2: register numbers, its state at the start of a payload, and what its exceptions mean.

Sections are those of the Arm Architecture Reference Manual, DDI 0487.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import unicorn.arm64_const as arm64
from unicorn import UC_ARCH_ARM64, UC_MODE_ARM

from shim.machine import aborts
from shim.machine.paging import EntryFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.engine import Engine
    from shim.machine._native import Monitor
    from shim.machine.architecture import Trap

_GENERAL = (*(f"x{i}" for i in range(31)), "sp", "pc", "pstate")
#: Of the vector registers a function keeps but the lower halves of eight.
_OTHER = (*(f"d{i}" for i in range(8, 16)), "cpacr_el1", "mair_el1", "ttbr0_el1", "ttbr1_el1", "vbar_el1")

REGISTERS: Mapping[str, int] = {name: getattr(arm64, f"UC_ARM64_REG_{name.upper()}") for name in (*_GENERAL, *_OTHER)}

#: System registers that Unicorn has no numbers for: op0, op1, CRn, CRm, op2.
SYSTEM = {
    "scr_el3": (3, 6, 1, 1, 0),
    "hcr_el2": (3, 4, 1, 1, 0),
    "cptr_el2": (3, 4, 1, 1, 2),
    "sctlr_el1": (3, 0, 1, 0, 0),
    "sctlr_el2": (3, 4, 1, 0, 0),
    "tcr_el1": (3, 0, 2, 0, 2),
    "tcr_el2": (3, 4, 2, 0, 2),
    "ttbr0_el2": (3, 4, 2, 0, 0),
    "mair_el2": (3, 4, 10, 2, 0),
    "vbar_el2": (3, 4, 12, 0, 0),
    "cntfrq_el0": (3, 3, 14, 0, 0),
}

#: What tells of the CPU's features, and can be told otherwise (section D19.2).
ID_REGISTERS = {
    "midr_el1": (3, 0, 0, 0, 0),
    "id_aa64pfr0_el1": (3, 0, 0, 4, 0),
    "id_aa64pfr1_el1": (3, 0, 0, 4, 1),
    "id_aa64zfr0_el1": (3, 0, 0, 4, 4),
    "id_aa64dfr0_el1": (3, 0, 0, 5, 0),
    "id_aa64dfr1_el1": (3, 0, 0, 5, 1),
    "id_aa64isar0_el1": (3, 0, 0, 6, 0),
    "id_aa64isar1_el1": (3, 0, 0, 6, 1),
    "id_aa64isar2_el1": (3, 0, 0, 6, 2),
    "id_aa64mmfr0_el1": (3, 0, 0, 7, 0),
    "id_aa64mmfr1_el1": (3, 0, 0, 7, 1),
    "id_aa64mmfr2_el1": (3, 0, 0, 7, 2),
}

#: What a hand-off reports, whatever the level; and what it reports of the level that the CPU is at.
HANDOFF_REGISTERS = (*_GENERAL, "cpacr_el1", "mair_el1", "ttbr0_el1", "ttbr1_el1", "vbar_el1")
HANDOFF_SYSTEM = {
    1: ("sctlr_el1", "tcr_el1", "cntfrq_el0"),
    2: ("sctlr_el1", "cntfrq_el0", "sctlr_el2", "tcr_el2", "ttbr0_el2", "mair_el2", "vbar_el2", "hcr_el2", "cptr_el2"),
}

#: Lower levels are AArch64, and EL1 isn't secure: else Unicorn walks page tables of AArch32.
SCR_VALUE, HCR_VALUE = 0x501, 1 << 31
#: No trap of floating point.
CPACR_VALUE = 3 << 20
#: Device, not cacheable, write-through, write-back, in the order of EDK II.
MAIR_VALUE = 0xFF_BB_44_00
#: 48 bits of address for TTBR0 in pages of 4 KiB, walks inner-shareable and write-back; no walks for TTBR1. The size of
#: physical addresses, bits 32 to 34, is the CPU's.
TCR_VALUE = 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8 | 16
#: The same for EL2, which has no second table.
TCR_EL2_VALUE = 1 << 31 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8 | 16
#: MMU and caches on, the stack's alignment checked, other alignment not; the rest are bits that have to be one.
SCTLR_VALUE, SCTLR_EL2_VALUE = 0x30D0_180D, 0x30C5_183D
#: No trap of floating point at EL2; bits that have to be one.
CPTR_VALUE = 0x33FF
#: The level, with a stack of its own; in DAIF interrupts are enabled, debug exceptions and FIQ are not.
PSTATE_VALUE, PSTATE_EL2_VALUE = 0x245, 0x249
DAIF = 0x3C0

#: Models without FEAT_RNG: with it, Unicorn would answer with the host's randomness.
CPU_MODELS = {
    "cortex-a53": arm64.UC_CPU_ARM64_A53,
    "cortex-a57": arm64.UC_CPU_ARM64_A57,
    "cortex-a72": arm64.UC_CPU_ARM64_A72,
}
_NANOSECONDS = 1_000_000_000


class AArch64:
    """The architecture, for the machine: payloads run at EL1, or at EL2 as where there is no hypervisor below.

    What *told* has by the names of `ID_REGISTERS` takes the place of what the CPU model tells of itself.
    """

    name = "aarch64"
    engine_mode = (UC_ARCH_ARM64, UC_MODE_ARM)
    cpu_models = CPU_MODELS
    registers = REGISTERS
    program_counter = "pc"
    #: What the smallest of the models can address.
    address_limit = 1 << 40
    #: Section D8.3: normal memory, write-back and inner-shareable, accessed, not for EL0. Both levels may execute
    #: a page or neither; bits 55 and 56 are software's.
    entry_format = EntryFormat(
        read=(1, 1), write=(1 << 7, 0), execute=(3 << 53, 0), known=1 << 55, lazy=1 << 56,
        page=1 << 10 | 3 << 8 | 3 << 2 | 2, large_page=1 << 10 | 3 << 8 | 3 << 2, table=(3, 3),
    )  # fmt: skip
    descriptor_tables = b""
    invalid_instruction = aborts.UNDEFINED

    def __init__(self, exception_level: int = 1, told: Mapping[str, int] | None = None) -> None:
        self._level = exception_level
        self._told = {ID_REGISTERS[name]: value for name, value in (told or {}).items()}

    def prepare(self, engine: Engine, page_tables: int, descriptor_tables: int, stack: int) -> None:  # noqa: ARG002
        """MMU and caches on, unaligned accesses allowed, a stack (section 2.3.6)."""
        engine.write_system(SYSTEM["scr_el3"], SCR_VALUE)
        engine.write_system(SYSTEM["hcr_el2"], HCR_VALUE)
        engine.write(REGISTERS["cpacr_el1"], CPACR_VALUE)
        physical = engine.read_system(ID_REGISTERS["id_aa64mmfr0_el1"]) & 7
        if self._level == 1:
            engine.write(REGISTERS["mair_el1"], MAIR_VALUE)
            engine.write(REGISTERS["ttbr0_el1"], page_tables)
            engine.write_system(SYSTEM["tcr_el1"], TCR_VALUE | physical << 32)
            engine.write(REGISTERS["pstate"], PSTATE_VALUE)
            engine.write_system(SYSTEM["sctlr_el1"], SCTLR_VALUE)
        else:
            engine.write_system(SYSTEM["cptr_el2"], CPTR_VALUE)
            engine.write_system(SYSTEM["mair_el2"], MAIR_VALUE)
            engine.write_system(SYSTEM["ttbr0_el2"], page_tables)
            engine.write_system(SYSTEM["tcr_el2"], TCR_EL2_VALUE | physical << 16)
            engine.write(REGISTERS["pstate"], PSTATE_EL2_VALUE)
            # Unicorn sees that the level has changed when a system register is written.
            engine.write_system(SYSTEM["sctlr_el2"], SCTLR_EL2_VALUE)
        engine.write(REGISTERS["sp"], stack)

    def answer_reads(self, engine: Engine, monitor: Monitor) -> None:
        """The generic timer's counters, at the frequency that the CPU tells, and what is told of the CPU."""
        engine.told.update(self._told)
        monitor.tell([each for register, value in self._told.items() for each in (_mrs_number(register), value)])
        monitor.tick_ns = _NANOSECONDS // engine.read_system(SYSTEM["cntfrq_el0"])
        engine.hook_native_instruction(arm64.UC_ARM64_INS_MRS, monitor.mrs_callback, monitor.state)

    def mask_interrupts(self, engine: Engine) -> None:
        """Set DAIF."""
        (state,) = engine.read((REGISTERS["pstate"],))
        engine.write(REGISTERS["pstate"], state | DAIF)

    def can_wake(self, engine: Engine) -> bool:  # noqa: ARG002
        """Always: an interrupt that is masked ends the wait, too."""
        return True

    def resume_address(self, engine: Engine, pc: int) -> int:  # noqa: ARG002
        """Where it stopped."""
        return pc

    def trap(self, engine: Engine, number: int) -> Trap:
        """An abort tells of an access, all others only of themselves."""
        return aborts.trap(engine, number, "instruction abort")

    def emulate(self, engine: Engine, trap: Trap) -> None:
        """There is nothing below the firmware."""

    def forget_trap(self, engine: Engine) -> None:
        """Nothing to forget."""

    def handoff_registers(self, engine: Engine) -> dict[str, int]:
        """The general registers, and what controls the MMU."""
        numbers = tuple(REGISTERS[each] for each in HANDOFF_REGISTERS)
        values = dict(zip(HANDOFF_REGISTERS, engine.read(numbers), strict=True))
        return {**values, **{name: engine.read_system(SYSTEM[name]) for name in HANDOFF_SYSTEM[self._level]}}


AARCH64 = AArch64()


def _mrs_number(register: tuple[int, int, int, int, int]) -> int:
    """As the instruction spells it."""
    op0, op1, crn, crm, op2 = register
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
