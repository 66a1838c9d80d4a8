"""The architectures that there is a machine for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shim.machine.aarch64 import AARCH64, AArch64
from shim.machine.arm import ARM
from shim.machine.i386 import I386
from shim.machine.riscv64 import RISCV64
from shim.machine.x86_64 import X86_64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.machine.architecture import Architecture

_ALL: tuple[Architecture, ...] = (X86_64, I386, AARCH64, ARM, RISCV64)
ARCHITECTURES: Mapping[str, Architecture] = {each.name: each for each in _ALL}


def architecture_of(machine: str, exception_level: int = 1, told: Mapping[Any, int] | None = None) -> Architecture:
    """A machine's; only AArch64 has levels that count, and registers that are told."""
    return AArch64(exception_level, told) if machine == AARCH64.name else ARCHITECTURES[machine]
