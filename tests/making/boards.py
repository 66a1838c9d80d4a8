"""What a stub chooses a device tree by: SMBIOS tables, hardware IDs made of them, and small device trees."""

from __future__ import annotations

import hashlib
import struct
import uuid

#: The namespace of hardware IDs (fwupd and Windows call them CHIDs).
CHIDS = uuid.UUID("70ffd812-4c7f-4c7d-0000-000000000000")
_DEVICE_TREE = 1


def smbios(manufacturer: str, product: str) -> bytes:
    """A structure table with who made the system, and its end (SMBIOS 3.7, sections 7.2 and 7.45)."""
    system = struct.pack("<BBHBBBB16sBBB", 1, 27, 1, 1, 2, 0, 0, bytes(16), 6, 0, 0)
    strings = manufacturer.encode() + b"\0" + product.encode() + b"\0\0"
    return system + strings + struct.pack("<BBH", 127, 4, 2) + b"\0\0"


def chid(*values: str) -> uuid.UUID:
    """The hardware ID of some strings: a version 5 UUID over them in UTF-16."""
    digest = hashlib.sha1(CHIDS.bytes + "&".join(values).encode("utf-16-le")).digest()
    return uuid.UUID(bytes=digest[:16], version=5)


def hwids(boards: dict[uuid.UUID, str]) -> bytes:
    """A .hwids section: hardware IDs and the `compatible` of each one's device tree."""
    size = 4 + 16 + 4 + 4
    strings, entries, start = b"", b"", size * (len(boards) + 1)
    for number, compatible in boards.items():
        at = start + len(strings)
        strings += compatible.encode() + b"\0"
        entries += struct.pack("<I16sII", _DEVICE_TREE << 28 | size, number.bytes_le, at, at)
    return entries + bytes(size) + strings


def device_tree(compatible: str) -> bytes:
    """A flattened tree with a root and nothing but its `compatible` (Devicetree specification, chapter 5)."""
    value = compatible.encode() + b"\0"
    begins, ends = struct.pack(">IIIII", 1, 0, 3, len(value), 0), struct.pack(">II", 2, 9)
    structure = begins + value + bytes(-len(value) % 4) + ends
    strings = b"compatible\0"
    at = 40 + 16
    behind = at + len(structure)
    sizes = len(strings), len(structure)
    header = struct.pack(">10I", 0xD00DFEED, behind + len(strings), at, behind, 40, 17, 16, 0, *sizes)
    return header + bytes(16) + structure + strings
