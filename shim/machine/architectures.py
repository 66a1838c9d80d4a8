"""The architectures that there is a machine for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.machine.aarch64 import AARCH64, AARCH64_EL2
from shim.machine.arm import ARM
from shim.machine.i386 import I386
from shim.machine.riscv64 import RISCV64
from shim.machine.x86_64 import X86_64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.machine.architecture import Architecture

_ALL: tuple[Architecture, ...] = (X86_64, I386, AARCH64, ARM, RISCV64)
ARCHITECTURES: Mapping[str, Architecture] = {each.name: each for each in _ALL}


def architecture_of(machine: str, exception_level: int) -> Architecture:
    """A machine's; only AArch64 has levels that count."""
    return AARCH64_EL2 if machine == AARCH64.name and exception_level > 1 else ARCHITECTURES[machine]
