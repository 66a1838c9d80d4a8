"""Event logs where the guest finds them: areas of its memory that are filled from the start, and never moved."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from efi_services.ports import Memory


class LogArea:
    """Entries one behind the other; what is unused is all ones, so that a reader sees the end as with EDK2."""

    def __init__(self, memory: Memory, address: int, size: int) -> None:
        self._memory = memory
        self.address = address
        self.size = size
        self.used = 0
        #: Where the last entry begins; 0 where there is none.
        self.last = 0
        #: An entry did not fit. None is added after that, for the log would have a hole.
        self.truncated = False
        memory.fill(address, size, 0xFF)

    def append(self, entry: bytes) -> bool:
        """Add an entry; False where it has no room."""
        if self.truncated or self.used + len(entry) > self.size:
            self.truncated = True
            return False
        self.last = self.address + self.used
        self._memory.write(self.last, entry)
        self.used += len(entry)
        return True


class FinalEvents:
    """The events since somebody asked for the log (TCG EFI Protocol, chapter 7; UEFI 2.10, section 38.3)."""

    _HEAD = struct.Struct("<QQ")

    def __init__(self, memory: Memory, address: int, size: int) -> None:
        self.address = address
        self.count = 0
        self._memory = memory
        self._area = LogArea(memory, address + self._HEAD.size, size - self._HEAD.size)
        self._write_head()

    def append(self, entry: bytes) -> bool:
        """Add an event; False where it has no room."""
        if not self._area.append(entry):
            return False
        self.count += 1
        self._write_head()
        return True

    def _write_head(self) -> None:
        self._memory.write(self.address, self._HEAD.pack(1, self.count))
