"""What the file protocol tells of files and volumes (UEFI 2.10, sections 13.5.16 to 13.5.18)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from efi_services.runtime.time import UNSPECIFIED_TIMEZONE
from efi_services.types import Guid

if TYPE_CHECKING:
    from efi_services.ports import FileNode, FileTree

FILE_INFO = Guid("09576e92-6d3f-11d2-8e39-00a0c969723b")
FILE_SYSTEM_INFO = Guid("09576e93-6d3f-11d2-8e39-00a0c969723b")
VOLUME_LABEL = Guid("db47d7d3-fe81-11d3-9a35-0090273fc14d")

#: EFI_TIME, which has no pointers: this is packed for each entry of a directory.
_TIME = struct.Struct("<HBBBBBBIHBB")
READ_ONLY, HIDDEN, SYSTEM, DIRECTORY, ARCHIVE = 0x01, 0x02, 0x04, 0x10, 0x20


def of_file(node: FileNode, name: str, block_size: int) -> bytes:
    """EFI_FILE_INFO of a file that is called *name* here."""
    moment = node.modified
    day, clock = (moment.year, moment.month, moment.day), (moment.hour, moment.minute, moment.second)
    time = _TIME.pack(*day, *clock, 0, 0, UNSPECIFIED_TIMEZONE, 0, 0)
    taken = -(-node.size // block_size) * block_size
    attributes = node.attributes | (DIRECTORY if node.directory else 0)
    text = (name + "\0").encode("utf-16-le", "surrogatepass")
    size = 80 + len(text)
    return struct.pack("<QQQ", size, node.size, taken) + 3 * time + struct.pack("<Q", attributes) + text


def of_volume(tree: FileTree) -> bytes:
    """EFI_FILE_SYSTEM_INFO: read-only, and so without room."""
    text = (tree.label + "\0").encode("utf-16-le")
    return struct.pack("<QB7xQQI", 36 + len(text), 1, tree.size, 0, tree.block_size) + text


def of_label(tree: FileTree) -> bytes:
    """EFI_FILE_SYSTEM_VOLUME_LABEL."""
    return (tree.label + "\0").encode("utf-16-le")
