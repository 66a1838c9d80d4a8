"""What an arm64 kernel finds (Documentation/arch/arm64/booting.rst): X0 holds the address of a device tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shim.handoff import device_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shim.machine.ram import Ram


def collect(ram: Ram, registers: Mapping[str, int]) -> dict[str, Any]:
    """The device tree, where there is one."""
    tree = device_tree.whole(ram, registers["x0"])
    told = None if tree is None else device_tree.chosen(tree)
    if tree is None or told is None:
        return {"device_tree": None}
    return {"device_tree": {"address": registers["x0"], "size": len(tree), "chosen": told}}


def places(state: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Addresses of what the tree tells of, and of the initrd, of which it doesn't tell."""
    tree = state.get("device_tree")
    if tree is not None:
        yield tree["address"], "device tree"
        memory_map = tree["chosen"].get("linux,uefi-mmap-start")
        if isinstance(memory_map, int):
            yield memory_map, "memory map"
    if state.get("initrd") is not None:
        yield state["initrd"]["address"], "initrd"


def files(state: Mapping[str, Any], ram: Ram) -> Iterator[tuple[str, bytes]]:
    """The device tree as it is."""
    tree = state.get("device_tree")
    if tree is not None:
        yield "device_tree.dtb", bytes(ram.view(tree["address"], tree["size"]))
