"""What a riscv64 kernel finds (Documentation/arch/riscv/boot.rst): a0 holds its hart, a1 a device tree's address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shim.handoff import device_tree
from shim.handoff.device_tree import files, parts, places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.machine.ram import Ram

__all__ = ["collect", "files", "parts", "places"]


def collect(ram: Ram, registers: Mapping[str, int]) -> dict[str, Any]:
    """The hart, and the device tree, where there is one."""
    return {"boot_hart": registers["a0"], "device_tree": device_tree.found(ram, registers["a1"])}
