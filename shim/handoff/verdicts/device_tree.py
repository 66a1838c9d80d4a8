"""Rules about the device tree that a kernel is handed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.handoff.device_tree import MAX_SIZE
from shim.handoff.verdicts.rule import WITH_TREE, BrokenError, rule

if TYPE_CHECKING:
    from shim.handoff.verdicts.rule import Handed

_WANTED = (
    "linux,uefi-system-table", "linux,uefi-mmap-start", "linux,uefi-mmap-size", "linux,uefi-mmap-desc-size",
    "linux,uefi-mmap-desc-ver",
)  # fmt: skip


@rule("device-tree", "arm64/booting.rst, riscv/boot.rst, arm/booting.rst", WITH_TREE)
def device_tree(handed: Handed) -> str:
    """The kernel's argument leads to a device tree, aligned to 8 bytes, of 2 MiB at the most."""
    if handed.state["device_tree"] is None:
        raise BrokenError("the kernel's argument leads to no device tree")
    tree = handed.tree
    if tree["address"] % 8 or tree["size"] > MAX_SIZE:
        raise BrokenError(f"it is at {tree['address']:#x} and has {tree['size']} bytes")
    return f"it is at {tree['address']:#x} and has {tree['size']} bytes"


@rule("chosen", "arm/uefi.rst", WITH_TREE)
def chosen(handed: Handed) -> str:
    """/chosen tells of the system table and of the memory map."""
    missing = [each for each in _WANTED if not isinstance(handed.tree["chosen"].get(each), int)]
    if missing:
        raise BrokenError(f"it lacks {', '.join(missing)}")
    return "it tells of all five"
