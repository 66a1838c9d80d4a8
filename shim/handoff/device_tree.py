"""A device tree as a kernel finds it (Devicetree Specification 0.4, chapter 5): where it is, and what /chosen says.

Read by hand: what a guest leaves behind need not be a tree, and the bindings of libfdt crash over some that aren't.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from efi_services.ports import MemoryFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from shim.machine.ram import Ram

FILE = "device_tree.dtb"
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


def parts(state: Mapping[str, Any], files: Path) -> Iterator[tuple[str, int, int]]:
    """Names, addresses and sizes of the properties of /chosen in the tree as it was kept, and of what they lead to."""
    tree = state.get("device_tree")
    if tree is not None:
        for name, at, value in _chosen((files / FILE).read_bytes()):
            yield f"/chosen/{name}", tree["address"] + at, len(value)
        told = tree["chosen"]
        start, size = (told.get(f"linux,uefi-mmap-{name}") for name in ("start", "size"))
        if isinstance(start, int) and isinstance(size, int):
            yield "memory map", start, size
    if state.get("initrd") is not None:
        yield "initrd", state["initrd"]["address"], state["initrd"]["size"]


def files(state: Mapping[str, Any], ram: Ram) -> Iterator[tuple[str, bytes]]:
    """The device tree as it is."""
    tree = state.get("device_tree")
    if tree is not None:
        yield FILE, bytes(ram.view(tree["address"], tree["size"]))


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
    try:
        return {name: _value(name, value) for name, _, value in _chosen(tree)}
    except ValueError:
        return None


def _chosen(tree: bytes) -> list[tuple[str, int, bytes]]:
    """Names, places in the tree and values of the properties of /chosen; raises ValueError where the tree is broken."""
    structure, strings = (int.from_bytes(tree[at : at + 4], "big") for at in (8, 12))
    path: list[bytes] = []
    found: list[tuple[str, int, bytes]] = []
    for token, name, at, value in _tokens(tree, structure, strings):
        if token == _NODE:
            path.append(name)
        elif token == _PROPERTY and len(path) == _CHOSEN_DEPTH and path[1] == b"chosen":
            found.append((name.decode("utf-8", "replace"), at, value))
        elif token == _END_NODE and (len(path) < _CHOSEN_DEPTH or path == [path[0], b"chosen"]):
            break
        elif token == _END_NODE:
            path.pop()
        if len(path) > _MOST_DEPTH or len(found) > _MOST_PROPERTIES:
            raise ValueError("more than any kernel's tree has")
    return found


def _tokens(tree: bytes, at: int, strings: int) -> Iterator[tuple[int, bytes, int, bytes]]:
    """The tokens of the structure block with names, places and values; raises ValueError where one isn't whole."""
    while True:
        token = _cell(tree, at)
        at += 4
        name = value = b""
        begins = at
        if token == _NODE:
            name = tree[at : tree.index(b"\0", at, at + _MOST_NAME)]
            at += len(name) + 1
        elif token == _PROPERTY:
            size, named, begins = _cell(tree, at), strings + _cell(tree, at + 4), at + 8
            value, at = tree[begins : begins + size], begins + size
            name = tree[named : tree.index(b"\0", named, named + _MOST_NAME)]
        elif token not in (_END_NODE, _NOTHING):
            raise ValueError("the structure is at its end, or no structure")
        if at > len(tree):
            raise ValueError("it ends within a token")
        yield token, name, begins, value
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
