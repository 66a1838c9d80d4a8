"""What an arm64 kernel finds (Documentation/arch/arm64/booting.rst): X0 holds the address of a device tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shim.handoff import device_tree
from shim.handoff.device_tree import files, parts, places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.machine.ram import Ram

__all__ = ["collect", "files", "parts", "places"]


def collect(ram: Ram, registers: Mapping[str, int]) -> dict[str, Any]:
    """The device tree, where there is one."""
    return {"device_tree": device_tree.found(ram, registers["x0"])}
