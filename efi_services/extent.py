"""A disk or a partition: a piece of a device's blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from efi_services.ports import BlockDevice


@dataclass(frozen=True, slots=True)
class Extent:
    """*blocks* blocks of a device from *start* on; *name* is for people."""

    name: str
    device: BlockDevice
    start: int
    blocks: int
    is_partition: bool = False

    @property
    def block_size(self) -> int:
        """Bytes of a block."""
        return self.device.block_size

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Bytes from any place within it; raises DiskError."""
        unit = self.block_size
        first, last = offset // unit, -(-(offset + size) // unit)
        data = self.device.read(self.start + first, last - first)
        return data[offset - first * unit :][:size]
