"""Rules about a 32-bit Arm CPU at the kernel's entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.handoff.verdicts.rule import BrokenError, rule

if TYPE_CHECKING:
    from shim.handoff.verdicts.rule import Handed

_ARM = frozenset({"arm"})
_BOOTING = "arm/booting.rst"
_MODE, _SUPERVISOR, _HYPERVISOR, _IRQ_FIQ = 0x1F, 0x13, 0x1A, 0xC0
_M, _C = 1, 1 << 2


@rule("cpu-mode", _BOOTING, _ARM)
def cpu_mode(handed: Handed) -> str:
    """The CPU is in Supervisor or in Hyp mode, with IRQ and FIQ masked."""
    state = handed.register("cpsr")
    if state & _MODE not in (_SUPERVISOR, _HYPERVISOR):
        raise BrokenError(f"CPSR is {state:#x}, another mode")
    if state & _IRQ_FIQ != _IRQ_FIQ:
        raise BrokenError(f"CPSR is {state:#x}: IRQ or FIQ are not masked")
    return f"CPSR is {state:#x}"


@rule("mmu-and-cache", _BOOTING, _ARM)
def mmu_off(handed: Handed) -> str:
    """MMU and data cache are off."""
    if handed.register("sctlr") & (_M | _C):
        raise BrokenError(f"SCTLR is {handed.register('sctlr'):#x}")
    return "both are off"


@rule("r0-zero", _BOOTING, _ARM)
def r0_zero(handed: Handed) -> str:
    """R0 is zero."""
    if handed.register("r0"):
        raise BrokenError(f"R0 is {handed.register('r0'):#x}")
    return "it is zero"
