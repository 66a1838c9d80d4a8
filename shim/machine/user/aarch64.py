"""User mode of AArch64: EL0, where all that needs EL1 is an undefined instruction.

An operating system may let EL0 maintain caches and read CTR_EL0 (SCTLR_EL1.UCI, UCT and DZE); the firmware's SCTLR_EL1
doesn't, so these are listed too, and told apart by what they mean. Sections are those of DDI 0487.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from unicorn.arm64_const import UC_ARM64_INS_SYS

from shim.engine import EmulationError
from shim.machine.aarch64 import DAIF, REGISTERS, SCTLR_VALUE, SYSTEM
from shim.machine.user.mode import Performed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.engine import Engine
    from shim.machine._native import Monitor
    from shim.machine.architecture import Trap
    from shim.machine.paging import EntryFormat
    from shim.machine.ram import Ram

_UNDEFINED = "undefined instruction"
_BYTES = 4
#: PSTATE's level and stack: EL1 with its own.
_LEVEL, _EL1 = 0xF, 0x5
#: Section C4.1.95: the class of system instructions, whose next bit says that it reads.
_CLASS, _SYSTEM_CLASS, _READS = 0xFFC0_0000, 0xD500_0000, 1 << 21
_WAIT = 0xD503_207F
#: MSR of DAIFSet and DAIFClr, but for their number.
_IMMEDIATE, _DAIF_SET, _DAIF_CLEAR = 0xFFFF_F0FF, 0xD503_40DF, 0xD503_40FF

_CURRENT_EL, _DAIF = (3, 0, 4, 2, 2), (3, 3, 4, 2, 1)
#: What can be read besides the registers that tell of the CPU, which all have op1 and CRn 0; and what can be set.
_READ_ONLY = {(3, 3, 0, 0, 1): "CTR_EL0", (3, 3, 0, 0, 7): "DCZID_EL0", SYSTEM["cntfrq_el0"]: "CNTFRQ_EL0"}
_FIXED = {SYSTEM["tcr_el1"]: "TCR_EL1", (3, 0, 2, 0, 0): "TTBR0_EL1", (3, 0, 2, 0, 1): "TTBR1_EL1"}
_SETTABLE = {
    SYSTEM["sctlr_el1"]: "SCTLR_EL1", (3, 0, 1, 0, 2): "CPACR_EL1", (3, 0, 10, 2, 0): "MAIR_EL1",
    (3, 0, 12, 0, 0): "VBAR_EL1", (3, 0, 13, 0, 4): "TPIDR_EL1",
}  # fmt: skip
_MMU, _ZERO_FOR_USERS, _WAIT_FOR_USERS = 1, 1 << 14, 1 << 16
#: Of op0 1: CRn of cache maintenance and of translations; DC ZVA, which writes zeroes.
_CACHES, _TRANSLATIONS, _ZERO = 7, 8, (1, 3, 7, 4, 1)
#: op1 and CRm of what SCTLR_EL1.UCI would allow.
_FOR_USERS = frozenset((5, 10, 11, 12, 14))


class AArch64User:
    """User mode, for the machine."""

    #: Section D8.4.1, AP[1].
    entry_bit = 1 << 6

    def entry_format(self, form: EntryFormat) -> EntryFormat:
        """EL0 may use all pages."""
        return replace(form, page=form.page | self.entry_bit, large_page=form.large_page | self.entry_bit)

    def watch(self, engine: Engine, monitor: Monitor, note: Callable[[Performed], None]) -> None:  # noqa: ARG002
        """Maintenance of caches by address: there is nothing to do, and kernels do it half a million times.

        What else Unicorn allows EL0, such as reads of the counters, operating systems do too.
        """
        monitor.read, monitor.pc = engine.read_function, REGISTERS["pc"]
        engine.hook_native_instruction(UC_ARM64_INS_SYS, monitor.sys_callback, monitor.state)

    def counted(self, monitor: Monitor, ram: Ram) -> Iterator[Performed]:
        """Maintenance of caches by address."""
        for pc, count in monitor.take_maintained():
            word = int.from_bytes(ram.view(pc, _BYTES), "little")
            kind = _text(word, pc).split(",")[0]
            yield Performed(pc, _text(word, pc), kind, _maintenance(word), count=count)

    def enter(self, engine: Engine, monitor: Monitor, at: int) -> None:  # noqa: ARG002
        """EL0, with the same stack."""
        # What is told of the CPU is told to EL1. Where Unicorn's hook answers for a register that EL0 may not read, the
        # CPU never gets to the next instruction.
        monitor.tell([])
        stack, state = engine.read((REGISTERS["sp"], REGISTERS["pstate"]))
        engine.write(REGISTERS["pstate"], state & ~_LEVEL)
        # Unicorn sees that the level has changed when a system register is written.
        engine.write_system(SYSTEM["sctlr_el1"], SCTLR_VALUE)
        engine.write(REGISTERS["sp"], stack)

    @contextmanager
    def raised(self, engine: Engine) -> Iterator[None]:  # noqa: ARG002
        """To the host all registers are open."""
        yield

    def perform(self, engine: Engine, trap: Trap, ram: Ram) -> Performed | None:
        """An access to a system register, maintenance of caches and translations, a mask of interrupts, or a wait."""
        (pc,) = engine.read((REGISTERS["pc"],))
        if trap.name != _UNDEFINED or not any(start <= pc and pc + _BYTES <= end for start, end in ram.ranges):
            return None
        word = int.from_bytes(ram.view(pc, _BYTES), "little")
        text = _text(word, pc)
        if word & _CLASS != _SYSTEM_CLASS or not text:
            return None
        if word == _WAIT:
            name, meaning, ends = "wfi", "wait for an interrupt", "the CPU was halted for good"
        else:
            done = _perform(engine, pc, word, text)
            if done is None:
                return None
            name, meaning, ends = done
            if ends:
                return Performed(pc, text, name, f"not performed: {ends}", f"privileged instruction {text}: {ends}")
        engine.write(REGISTERS["pc"], pc + _BYTES)
        return Performed(pc, text, name, meaning, ends)

    def privileged(self, registers: dict[str, int]) -> dict[str, int]:
        """At EL1."""
        return {**registers, "pstate": registers["pstate"] & ~_LEVEL | _EL1}


AARCH64_USER = AArch64User()


def _perform(engine: Engine, pc: int, word: int, text: str) -> tuple[str, str, str] | None:
    """Its kind, what it means, and why it can't be done; None if it faults."""
    operation = (word >> 19 & 3, word >> 16 & 7, word >> 12 & 15, word >> 8 & 15, word >> 5 & 7)
    op0, _, crn, crm, _ = operation
    register = None if word & 31 == 31 else REGISTERS[f"x{word & 31}"]
    value = 0 if register is None else engine.read((register,))[0]
    kind = text.split(",")[0]
    if word & _IMMEDIATE in (_DAIF_SET, _DAIF_CLEAR):
        (state,) = engine.read((REGISTERS["pstate"],))
        bits = crm << 6
        on = word & _IMMEDIATE == _DAIF_SET
        engine.write(REGISTERS["pstate"], state | bits if on else state & ~bits)
        return kind, f"{'mask' if on else 'enable'} interrupts and exceptions: {crm:04b} of DAIF", ""
    if op0 >= 2 and word & _READS:
        found = _read(engine, operation)
        if found is None:
            return "mrs", "", "this register is not in the model"
        if register is not None:
            engine.write(register, found)
        name = text.split()[-1]
        allowed = " (SCTLR_EL1.UCT lets EL0 read it)" if name == "ctr_el0" else ""
        return f"mrs {name}", f"read {name.upper()}{allowed}", ""
    if op0 >= 2:
        return _write(engine, operation, value, text.split()[1].rstrip(","))
    if operation == _ZERO:
        size = 4 << (engine.read_system((3, 3, 0, 0, 7)) & 15)
        if not _allowed(engine, pc):
            return None
        return kind, f"fill {size} bytes with zeroes (SCTLR_EL1.DZE lets EL0 do it)", ""
    if op0 == 1 and crn == _CACHES and "at " not in text:
        return kind, _maintenance(word), ""
    if op0 == 1 and crn == _TRANSLATIONS:
        engine.flush_tlb()
        return kind, "forget translations of addresses", ""
    return text.split()[0], "", "this privileged instruction is not in the model"


def _maintenance(word: int) -> str:
    allowed = " (SCTLR_EL1.UCI lets EL0 do it)" if word >> 16 & 7 == 3 and word >> 8 & 15 in _FOR_USERS else ""
    return f"maintain caches, of which there are none{allowed}"


def _allowed(engine: Engine, pc: int) -> bool:
    """Let EL0 execute the DC ZVA at *pc*: it writes, and whether it may is the page tables' affair."""
    control = engine.read_system(SYSTEM["sctlr_el1"])
    # Where Unicorn is to stop, it executes a WFI.
    engine.write_system(SYSTEM["sctlr_el1"], control | _ZERO_FOR_USERS | _WAIT_FOR_USERS)
    # Whether to stop there is decided when a block is translated: neither before nor after in the same way.
    engine.drop_code(pc, pc + _BYTES)
    with suppress(EmulationError):
        engine.run(pc, pc + _BYTES)
    engine.drop_code(pc, pc + _BYTES)
    engine.write_system(SYSTEM["sctlr_el1"], control)
    return engine.read((REGISTERS["pc"],)) == [pc + _BYTES]


def _read(engine: Engine, operation: tuple[int, int, int, int, int]) -> int | None:
    if operation == _CURRENT_EL:
        return 1 << 2
    if operation == _DAIF:
        return engine.read((REGISTERS["pstate"],))[0] & DAIF
    known = operation in {**_READ_ONLY, **_FIXED, **_SETTABLE} or operation[:3] == (3, 0, 0)
    return engine.read_system(operation) if known else None


def _write(engine: Engine, operation: tuple[int, int, int, int, int], value: int, name: str) -> tuple[str, str, str]:
    kind = f"msr {name}"
    if operation == _DAIF:
        (state,) = engine.read((REGISTERS["pstate"],))
        engine.write(REGISTERS["pstate"], state & ~DAIF | value & DAIF)
        return kind, f"set DAIF to {value:#x}", ""
    if operation in _FIXED and value != engine.read_system(operation):
        return kind, "", f"page tables of the payload's own ({_FIXED[operation]} {value:#x})"
    if operation not in {**_FIXED, **_SETTABLE}:
        return kind, "", "this register is not in the model"
    engine.write_system(operation, value)
    engine.flush_tlb()
    off = operation == SYSTEM["sctlr_el1"] and not value & _MMU
    return kind, f"set {name.upper()} to {value:#x}" + (": translation off" if off else ""), ""


@lru_cache(1024)
def _text(word: int, pc: int) -> str:
    found = next(_decoder().disasm(word.to_bytes(_BYTES, "little"), pc, 1), None)
    return f"{found.mnemonic} {found.op_str}".strip() if found else ""


@cache
def _decoder() -> Any:
    # Late: runs with privileges have no use for it.
    import capstone

    return capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
