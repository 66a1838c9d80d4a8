"""A platform's device tree as a kernel reads it (Devicetree Specification 0.4, chapter 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libfdt

from shim.errors import UsageError
from shim.handoff.device_tree import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shim.config.device_tree import Node, Value


def flatten(tree: Node, ram: Sequence[tuple[int, int]]) -> bytes:
    """The tree with a node for RAM, unless it has one of its own; raises UsageError where no kernel takes it."""
    writer = libfdt.FdtSw()
    writer.finish_reservemap()
    with writer.add_node(""):
        _fill(writer, tree)
        if not any(name.startswith("memory@") for name in tree.nodes):
            with writer.add_node(f"memory@{ram[0][0]:x}"):
                writer.property("device_type", b"memory\0")
                writer.property("reg", b"".join(_number(tree, *each) for each in ram))
    made = bytes(writer.as_fdt().as_bytearray())
    if len(made) > MAX_SIZE:
        raise UsageError(f"the device tree has {len(made)} bytes; kernels take {MAX_SIZE}")
    return made


def _fill(writer: libfdt.FdtSw, node: Node) -> None:
    for name, value in node.properties.items():
        writer.property(name, _encode(value))
    for name, each in node.nodes.items():
        with writer.add_node(name):
            _fill(writer, each)


def _encode(value: Value) -> bytes:
    if value is True:
        return b""
    return b"".join(
        each.encode() + b"\0" if isinstance(each, str) else each.to_bytes(4, "big")
        for each in (value if isinstance(value, tuple) else (value,))
    )


def _number(tree: Node, start: int, end: int) -> bytes:
    """Address and size, of as many cells as the root says."""
    counts = (tree.properties.get(f"#{each}-cells", 2) for each in ("address", "size"))
    address, size = (4 * each if isinstance(each, int) else 8 for each in counts)
    try:
        return start.to_bytes(address, "big") + (end - start).to_bytes(size, "big")
    except OverflowError:
        raise UsageError(f"the device tree's cells are too few for memory at {start:#x}..{end:#x}") from None
