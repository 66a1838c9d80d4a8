"""A device tree as a kernel finds it (Devicetree Specification 0.4, chapter 5): what its /chosen says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from efi_services.ports import MemoryFault

if TYPE_CHECKING:
    from shim.machine.ram import Ram

#: No kernel takes a larger one (Linux's MAX_FDT_SIZE).
MAX_SIZE = 2 << 20
_MAGIC, _HEADER = b"\xd0\x0d\xfe\xed", 40
#: More properties than a stub writes into one node, and more bytes than it writes into one that is not text.
_MOST_PROPERTIES, _MOST_BYTES = 256, 256


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
    from libfdt import NOTFOUND, FdtException, FdtRo

    found: dict[str, Any] = {}
    try:
        blob = FdtRo(tree)
        node = blob.path_offset("/chosen", (NOTFOUND,))
        at = blob.first_property_offset(node, (NOTFOUND,)) if node >= 0 else -1
        while at >= 0 and len(found) < _MOST_PROPERTIES:
            each = blob.get_property_by_offset(at)
            found[_printable(each.name)] = _value(each.name, bytes(each))
            at = blob.next_property_offset(at, (NOTFOUND,))
    except FdtException:
        return None
    return found


def _value(name: str, data: bytes) -> Any:
    if name == "bootargs":
        return data.partition(b"\0")[0].decode("utf-8", "replace")
    # Cells of 32 bits, one or two: addresses, sizes, seeds, versions.
    return int.from_bytes(data, "big") if len(data) in (4, 8) else data[:_MOST_BYTES].hex()


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
