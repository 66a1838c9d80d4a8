"""The environment that is launched (DLME, with TXT the MLE): a kernel, and the header in it that says how it begins."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from efi_services.ports import Memory

#: Intel TXT MLE Developer's Guide, table 1; TrenchBoot's slr_dlme_header is the same.
UUID = struct.pack("<4I", 0x9082AC5A, 0x74A7476F, 0xA2555C0F, 0x42B651CB)
_HEADER = struct.Struct("<16s9I")
HEADER_BYTES = _HEADER.size
#: TXT and SKINIT begin in 32-bit mode.
LIMIT = 1 << 32


class DlmeError(ValueError):
    """There is none there, or its header makes no sense; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Dlme:
    """A kernel in memory that says how it is launched.

    *entry* is where it begins, *start* and *end* what of it is measured; all addresses. *header_offset* is that of the
    header from *base* on, *table* the address of boot_params.
    """

    base: int
    header_offset: int
    table: int
    entry: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes from its base to its end."""
        return self.end - self.base


def read(memory: Memory, base: int, header_offset: int, table: int) -> Dlme:
    """The DLME at *base*.

    Raises:
        DlmeError: what lies there is none.
        MemoryFault: there is no memory.
    """
    if base + header_offset + HEADER_BYTES > LIMIT:
        raise DlmeError(f"its header at {base:#x} + {header_offset:#x} is not below 4 GiB")
    uuid, length, _, entry, _, start, end, *_ = _HEADER.unpack(memory.read(base + header_offset, HEADER_BYTES))
    if uuid != UUID:
        raise DlmeError(f"there is no MLE header at {base + header_offset:#x}")
    if length < HEADER_BYTES:
        raise DlmeError(f"its header says that it has {length} bytes")
    if not start <= entry < end or not start <= header_offset < end:
        raise DlmeError(f"its header says that it is {start:#x} to {end:#x} and begins at {entry:#x}")
    if base + end > LIMIT:
        raise DlmeError(f"it ends at {base + end:#x}, which is not below 4 GiB")
    memory.read(base + end - 1, 1)
    return Dlme(base, header_offset, table, base + entry, base + start, base + end)
