"""Device paths: a sequence of nodes that ends with an end node (UEFI 2.10, chapter 10)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from virt.firmware.efi.devpath import DevicePath

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from efi_services.types import Guid

#: End of the entire device path.
END = bytes((0x7F, 0xFF, 4, 0))
#: End of one of several paths that stand behind each other.
INSTANCE_END = bytes((0x7F, 0x01, 4, 0))


def pci(root: int, device: int, function: int) -> bytes:
    """A PCI device behind the host bridge *root*: ACPI and Hardware/PCI nodes (sections 10.3.3 and 10.3.2.1)."""
    return struct.pack("<BBHII", 2, 1, 12, 0x0A0341D0, root) + struct.pack("<BBHBB", 1, 1, 6, function, device)


def display(address: int) -> bytes:
    """An ACPI _ADR node (section 10.3.3.3) of one output of a video card."""
    return struct.pack("<BBHI", 2, 3, 8, address)


def sata(port: int) -> bytes:
    """A Messaging/SATA node (section 10.3.4.6) of a disk without a port multiplier."""
    return struct.pack("<BBHHHH", 3, 18, 10, port, 0xFFFF, 0)


def hard_drive(number: int, start: int, blocks: int, signature: bytes, scheme: int) -> bytes:
    """A Media/Hard Drive node (section 10.3.5.1): a partition of a GPT (*scheme* 2) or an MBR (1)."""
    return struct.pack("<BBHIQQ16sBB", 4, 1, 42, number, start, blocks, signature, scheme, scheme)


def vendor_media(guid: Guid) -> bytes:
    """A Media/Vendor node (section 10.3.5.3)."""
    return struct.pack("<BBH", 4, 3, 20) + guid.bytes_le


def vendor_hardware(guid: Guid) -> bytes:
    """A Hardware/Vendor node (section 10.3.2.4)."""
    return struct.pack("<BBH", 1, 4, 20) + guid.bytes_le


def file_path(name: str) -> bytes:
    """A Media/File Path node (section 10.3.5.4)."""
    text = (name + "\0").encode("utf-16-le")
    return struct.pack("<BBH", 4, 4, 4 + len(text)) + text


def memory_mapped(memory_type: int, start: int, end: int) -> bytes:
    """A Hardware/Memory Mapped node (section 10.3.2.3), which is where an image from memory comes from."""
    return struct.pack("<BBHIQQ", 1, 3, 24, memory_type, start, end)


def is_hard_drive(node: bytes) -> bool:
    """Whether it is a partition's node."""
    return node[:2] == b"\4\1" and len(node) == 42


def file_of(rest: Sequence[bytes]) -> str | None:
    """The file that nodes name; None where they are not all File Path nodes."""
    if not all(each[:2] == b"\4\4" for each in rest):
        return None
    names = (each[4:].decode("utf-16-le", "replace").partition("\0")[0] for each in rest)
    return "\\".join(names)


def nodes(path: bytes) -> Iterator[bytes]:
    """The nodes of *path* before its end node; stops at the first malformed one."""
    at = 0
    while at + 4 <= len(path):
        length = int.from_bytes(path[at + 2 : at + 4], "little")
        if path[at] == 0x7F or length < 4 or at + length > len(path):
            return
        yield path[at : at + length]
        at += length


def first_instance(path: bytes) -> bytes:
    """The first of the paths that stand behind each other in *path*, with an end node of its own."""
    return b"".join(nodes(path)) + END


def length_of_match(prefix: bytes, path: bytes) -> int | None:
    """Bytes of *path* that *prefix*, without its end node, covers; None where it is not its start."""
    length = 0
    theirs = nodes(path)
    for node in nodes(prefix):
        if next(theirs, None) != node:
            return None
        length += len(node)
    return length


def to_text(path: bytes) -> str:
    """A path for people; a node that can't be decoded is shown in hex."""
    return "/".join(_node_text(node) for node in nodes(path)) or "End"


def _node_text(node: bytes) -> str:
    if node[:2] == b"\x04\x03" and len(node) >= 20:
        from efi_services.guids import name_of
        from efi_services.types import Guid

        return f"VenMedia({name_of(Guid(bytes_le=node[4:20]))})"
    if node[:2] == b"\x01\x03" and len(node) >= 24:
        _, start, end = struct.unpack_from("<IQQ", node, 4)
        return f"MemoryMapped({start:#x},{end:#x})"
    try:
        return str(DevicePath(node + END))
    except (ValueError, struct.error, IndexError, UnicodeDecodeError):
        return node.hex()
