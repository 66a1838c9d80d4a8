"""A device tree as a kernel finds it (Devicetree Specification 0.4, chapter 5): where it is, and what /chosen says.

Read by hand: what a guest leaves behind need not be a tree, and the bindings of libfdt crash over some that aren't.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from efi_services.ports import MemoryFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shim.machine.ram import Ram

#: No kernel takes a larger one (Linux's MAX_FDT_SIZE).
MAX_SIZE = 2 << 20
_MAGIC, _HEADER = b"\xd0\x0d\xfe\xed", 40
_NODE, _END_NODE, _PROPERTY, _NOTHING = 1, 2, 3, 4
_CHOSEN_DEPTH = 2
#: More than any kernel's tree has: depth, properties of one node, bytes of a name, and of a value that is not text.
_MOST_DEPTH, _MOST_PROPERTIES, _MOST_NAME, _MOST_BYTES = 64, 256, 256, 256


def found(ram: Ram, address: int) -> dict[str, Any] | None:
    """What a hand-off's state has of the tree at *address*."""
    tree = whole(ram, address)
    told = None if tree is None else chosen(tree)
    if tree is None or told is None:
        return None
    return {"address": address, "size": len(tree), "chosen": told}


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


def whole(ram: Ram, address: int) -> bytes | None:
    """The tree at *address*, as long as its header says; None where there can't be any."""
    try:
        header = bytes(ram.view(address, _HEADER))
        size = int.from_bytes(header[4:8], "big")
        if header[:4] != _MAGIC or not _HEADER <= size <= MAX_SIZE:
            return None
        return bytes(ram.view(address, size))
    except MemoryFault:
        return None


def chosen(tree: bytes) -> dict[str, Any] | None:
    """The properties of /chosen: text, numbers, other bytes in hexadecimal; None where the tree is broken."""
    structure, strings = (int.from_bytes(tree[at : at + 4], "big") for at in (8, 12))
    path: list[bytes] = []
    found: dict[str, Any] = {}
    try:
        for token, name, value in _tokens(tree, structure, strings):
            if token == _NODE:
                path.append(name)
            elif token == _PROPERTY and len(path) == _CHOSEN_DEPTH and path[1] == b"chosen":
                text = name.decode("utf-8", "replace")
                found[text] = _value(text, value)
            elif token == _END_NODE and (len(path) < _CHOSEN_DEPTH or path == [path[0], b"chosen"]):
                break
            elif token == _END_NODE:
                path.pop()
            if len(path) > _MOST_DEPTH or len(found) > _MOST_PROPERTIES:
                return None
    except ValueError:
        return None
    return found


def _tokens(tree: bytes, at: int, strings: int) -> Iterator[tuple[int, bytes, bytes]]:
    """The tokens of the structure block with names and values; raises ValueError where one isn't whole."""
    while True:
        token = _cell(tree, at)
        at += 4
        name = value = b""
        if token == _NODE:
            name = tree[at : tree.index(b"\0", at, at + _MOST_NAME)]
            at += len(name) + 1
        elif token == _PROPERTY:
            size, begins = _cell(tree, at), strings + _cell(tree, at + 4)
            value, at = tree[at + 8 : at + 8 + size], at + 8 + size
            name = tree[begins : tree.index(b"\0", begins, begins + _MOST_NAME)]
        elif token not in (_END_NODE, _NOTHING):
            raise ValueError("the structure is at its end, or no structure")
        if at > len(tree):
            raise ValueError("it ends within a token")
        yield token, name, value
        at += -at % 4


def _cell(tree: bytes, at: int) -> int:
    if at + 4 > len(tree):
        raise ValueError("it ends too early")
    return int.from_bytes(tree[at : at + 4], "big")


def _value(name: str, data: bytes) -> Any:
    if name == "bootargs":
        return data.partition(b"\0")[0].decode("utf-8", "replace")
    # Cells of 32 bits, one or two: addresses, sizes, seeds, versions.
    return int.from_bytes(data, "big") if len(data) in (4, 8) else data[:_MOST_BYTES].hex()
