"""User mode of RISC-V: U-mode, where all that needs S-mode is an illegal instruction.

Sections are those of the RISC-V privileged architecture, version 1.12. Calls of the SBI, which need no instruction but
ECALL, are answered as ever.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import unicorn.riscv_const as riscv

from shim.machine.riscv64 import EXCEPTIONS, REGISTERS, SUPERVISOR_MODE
from shim.machine.user.mode import Performed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.engine import Engine
    from shim.machine._native import Monitor
    from shim.machine.architecture import Trap
    from shim.machine.paging import EntryFormat
    from shim.machine.ram import Ram

_ILLEGAL = EXCEPTIONS[2]
_USER_MODE = 0
_BYTES = 4
#: Major opcode SYSTEM, and the function of SFENCE.VMA; WFI as a whole.
_SYSTEM, _OPCODE = 0x73, 0x7F
_FENCE, _WAIT = 0x09, 0x1050_0073
#: Registers of S-mode (section 2.2) by their numbers.
_CSRS = {
    0x100: "sstatus", 0x104: "sie", 0x105: "stvec", 0x106: "scounteren", 0x140: "sscratch", 0x141: "sepc",
    0x142: "scause", 0x143: "stval", 0x144: "sip", 0x180: "satp",
}  # fmt: skip
_X = ("zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", *(f"a{i}" for i in range(8)),
      *(f"s{i}" for i in range(2, 12)), "t3", "t4", "t5", "t6")  # fmt: skip
_WORD = (1 << 64) - 1


class RiscV64User:
    """User mode, for the machine."""

    #: Section 4.3.1; entries that lead to tables have none.
    entry_bit = 1 << 4

    def entry_format(self, form: EntryFormat) -> EntryFormat:
        """User mode may use all pages."""
        return replace(form, page=form.page | self.entry_bit, large_page=form.large_page | self.entry_bit)

    def watch(self, engine: Engine, monitor: Monitor, note: Callable[[Performed], None]) -> None:
        """Unicorn allows nothing that it shouldn't."""

    def counted(self, monitor: Monitor, ram: Ram) -> Iterator[Performed]:  # noqa: ARG002
        """Nothing comes so often."""
        return iter(())

    def enter(self, engine: Engine, monitor: Monitor, at: int) -> None:  # noqa: ARG002
        """Unicorn has a register for it."""
        engine.write(REGISTERS["priv"], _USER_MODE)

    @contextmanager
    def raised(self, engine: Engine) -> Iterator[None]:
        """Unicorn gives registers of S-mode to nobody below, the host included."""
        engine.write(REGISTERS["priv"], SUPERVISOR_MODE)
        try:
            yield
        finally:
            engine.write(REGISTERS["priv"], _USER_MODE)

    def perform(self, engine: Engine, trap: Trap, ram: Ram) -> Performed | None:
        """An access to a register, a fence of address translation, or a wait."""
        if trap.name != _ILLEGAL or trap.pc is None:
            return None
        pc = trap.pc
        if not any(start <= pc and pc + _BYTES <= end for start, end in ram.ranges):
            return None
        word = int.from_bytes(ram.view(pc, _BYTES), "little")
        text = _text(word, pc)
        if word & _OPCODE != _SYSTEM or not text:
            return None
        ends = ""
        with self.raised(engine):
            function = word >> 12 & 7
            if word == _WAIT:
                name, meaning, ends = "wfi", "wait for an interrupt", "the CPU was halted for good"
            elif function == 0 and word >> 25 == _FENCE:
                engine.flush_tlb()
                name, meaning = "sfence.vma", "forget translations of addresses"
            elif function & 3 and word >> 20 in _CSRS:
                name, meaning, ends = self._access(engine, word)
            else:
                name, ends = text.split()[0], "this privileged instruction is not in the model"
        if ends and name != "wfi":
            return Performed(pc, text, name, f"not performed: {ends}", f"privileged instruction {text}: {ends}")
        engine.write(REGISTERS["pc"], pc + _BYTES)
        return Performed(pc, text, name, meaning, ends)

    def privileged(self, registers: dict[str, int]) -> dict[str, int]:
        """They are the same."""
        return registers

    def _access(self, engine: Engine, word: int) -> tuple[str, str, str]:
        """CSRRW, CSRRS and CSRRC, and the same with a number instead of a register."""
        csr, source, target, how = _CSRS[word >> 20], word >> 15 & 31, word >> 7 & 31, word >> 12 & 7
        (old,) = engine.read((_number(csr),))
        value = source if how & 4 or not source else engine.read((REGISTERS[_X[source]],))[0]
        new = {1: value, 2: old | value, 3: old & ~value & _WORD}[how & 3]
        writes = how & 3 == 1 or source != 0
        what = csr.upper()
        if writes:
            if csr == "satp" and new not in (0, old):
                return csr, "", f"page tables of the payload's own, SATP {new:#x}, don't tell what user mode may use"
            engine.write(_number(csr), new)
            if csr == "satp":
                engine.flush_tlb()
        if target:
            engine.write(REGISTERS[_X[target]], old)
        done = [f"read {what}"] if target else []
        done += (
            [f"set {what} to {new:#x}" + (": translation off" if (csr, new) == ("satp", 0) else "")] if writes else []
        )
        return f"{'write' if writes else 'read'} of {csr}", ", ".join(done), ""


RISCV64_USER = RiscV64User()


@cache
def _number(csr: str) -> int:
    number: int = getattr(riscv, f"UC_RISCV_REG_{csr.upper()}")
    return number


@lru_cache(1024)
def _text(word: int, pc: int) -> str:
    found = next(_decoder().disasm(word.to_bytes(_BYTES, "little"), pc, 1), None)
    return f"{found.mnemonic} {found.op_str}".strip() if found else ""


@cache
def _decoder() -> Any:
    # Late: runs with privileges have no use for it.
    import capstone

    return capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV64)
