"""Rules about an arm64 CPU at the kernel's entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.handoff.verdicts.extents import extents, paging
from shim.handoff.verdicts.rule import BrokenError, NotApplicableError, rule

if TYPE_CHECKING:
    from shim.handoff.verdicts.rule import Handed

_ARM64 = frozenset({"aarch64"})
#: Of PSTATE: interrupts, and the state; of SCTLR: MMU, data cache, big endian.
_DAIF, _AARCH32 = 0x3C0, 1 << 4
_M, _C, _EE = 1, 1 << 2, 1 << 25
_BOOTING = "arm64/booting.rst"


@rule("exception-level", _BOOTING, _ARM64)
def exception_level(handed: Handed) -> str:
    """The CPU is at EL1 or EL2, in AArch64 state."""
    state = handed.register("pstate")
    if state & _AARCH32 or _level(handed) not in (1, 2):
        raise BrokenError(f"PSTATE is {state:#x}")
    return f"EL{_level(handed)}"


@rule("interrupts-masked", _BOOTING, _ARM64)
def interrupts_masked(handed: Handed) -> str:
    """Debug exceptions, SError, IRQ and FIQ are masked."""
    state = handed.register("pstate")
    if state & _DAIF != _DAIF:
        raise BrokenError(f"PSTATE is {state:#x}, not all of DAIF are set")
    return "all of DAIF are set"


@rule("x1-to-x3-zero", _BOOTING, _ARM64)
def reserved_arguments(handed: Handed) -> str:
    """X1, X2 and X3 are zero."""
    for name in ("x1", "x2", "x3"):
        if handed.register(name):
            raise BrokenError(f"{name.upper()} is {handed.register(name):#x}")
    return "they are zero"


@rule("mmu-and-cache", f"{_BOOTING}; head.S (record_mmu_state)", _ARM64)
def mmu_and_cache(handed: Handed) -> str:
    """MMU and data cache are both off, or both on with kernel and device tree mapped at their own addresses."""
    if _level(handed) not in (1, 2):
        raise NotApplicableError(f"the CPU is at EL{_level(handed)}")
    control = handed.register(f"sctlr_el{_level(handed)}")
    if control & _EE:
        raise BrokenError("data is big-endian")
    if not control & _M and not control & _C:
        return "both are off"
    if not control & _M or not control & _C:
        raise BrokenError(f"one of them is on and one off: SCTLR is {control:#x}")
    map_ = paging(handed)
    assert map_ is not None
    for each in extents(handed):
        if each.name in ("kernel", "device tree"):
            wrong = map_.unlike_identity(each.start, each.end)
            if wrong is not None:
                raise BrokenError(f"{each}: {wrong:#x} is not mapped at its own address")
    page = map_.walk(handed.state["entry"])
    if page is None or not page.executable:
        raise BrokenError(f"the entry at {handed.state['entry']:#x} can't be executed")
    return "both are on; kernel and device tree are mapped at their own addresses"


def _level(handed: Handed) -> int:
    return handed.register("pstate") >> 2 & 3
