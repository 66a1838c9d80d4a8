"""Rules about a riscv64 hart at the kernel's entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.handoff.verdicts.rule import BrokenError, NotApplicableError, rule

if TYPE_CHECKING:
    from shim.handoff.verdicts.rule import Handed

_RISCV64 = frozenset({"riscv64"})
_BOOT = "riscv/boot.rst"
_SIE = 2


@rule("satp-zero", _BOOT, _RISCV64)
def satp_zero(handed: Handed) -> str:
    """The MMU is off: satp is zero."""
    if handed.register("satp"):
        raise BrokenError(f"satp is {handed.register('satp'):#x}")
    return "satp is zero"


@rule("interrupts-masked", "UEFI 2.10, section 7.4.6", _RISCV64)
def interrupts_masked(handed: Handed) -> str:
    """Interrupts are disabled: sstatus.SIE is clear."""
    if handed.register("sstatus") & _SIE:
        raise BrokenError(f"sstatus is {handed.register('sstatus'):#x}")
    return "sstatus.SIE is clear"


@rule("boot-hart", _BOOT, _RISCV64)
def boot_hart(handed: Handed) -> str:
    """a0 is the hart that the device tree says to boot on."""
    chosen = handed.tree["chosen"]
    if "boot-hartid" not in chosen:
        raise NotApplicableError(f"a0 is {handed.register('a0')}; the device tree does not tell of a hart")
    if handed.register("a0") != chosen["boot-hartid"]:
        raise BrokenError(f"a0 is {handed.register('a0'):#x}, boot-hartid is {chosen['boot-hartid']}")
    return f"it is hart {handed.register('a0')}"
