"""Pool memory: small allocations carved from pages of their type (UEFI 2.10, section 7.2).

The book-keeping is outside guest memory, so that a guest that writes past its buffer can't damage it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.memory_map import PAGE, AllocateType, Owner
from efi_services.status import EfiError, Status

if TYPE_CHECKING:
    from efi_services.memory_map import MemoryMap, MemoryType

#: Section 7.2.4: allocations are eight-byte aligned.
ALIGNMENT = 8
#: From this size on, an allocation has pages of its own.
LARGE = PAGE
#: Allocations that may be alive at once: each costs host memory too, and a payload must not exhaust the host.
MAX_ALIVE = 1 << 20


class Pool:
    """Allocations by address. Freed pieces are reused first fit; a page without allocations goes back whole."""

    def __init__(self, memory_map: MemoryMap) -> None:
        self._map = memory_map
        self._sizes: dict[int, tuple[int, MemoryType]] = {}
        # Per type: address of a page (or of what comes in its place) -> free pieces (offset, size) in it, ascending.
        self._free: dict[MemoryType, dict[int, list[tuple[int, int]]]] = {}

    def allocate(self, memory_type: MemoryType, size: int) -> int:
        """The address of *size* new bytes; raises OUT_OF_RESOURCES."""
        if len(self._sizes) >= MAX_ALIVE:
            raise EfiError(Status.OUT_OF_RESOURCES)
        size = max(-size % ALIGNMENT + size, ALIGNMENT)
        if size >= LARGE:
            pages = -(-size // PAGE)
            address = self._map.allocate(AllocateType.AnyPages, memory_type, pages, owner=Owner.POOL)
        else:
            address = self._carve(memory_type, size)
        self._sizes[address] = (size, memory_type)
        return address

    def free(self, address: int) -> int:
        """Give an allocation back and return its size; raises INVALID_PARAMETER for anything else."""
        try:
            size, memory_type = self._sizes.pop(address)
        except KeyError:
            raise EfiError(Status.INVALID_PARAMETER) from None
        if size >= LARGE:
            self._map.free(address, -(-size // PAGE), owner=Owner.POOL)
            return size
        whole = self._map.granularity(memory_type)
        page, offset = address & -whole, address % whole
        pieces = self._free[memory_type].setdefault(page, [])
        pieces.append((offset, size))
        pieces.sort()
        joined: list[tuple[int, int]] = []
        for start, length in pieces:
            if joined and sum(joined[-1]) == start:
                joined[-1] = (joined[-1][0], joined[-1][1] + length)
            else:
                joined.append((start, length))
        if joined == [(0, whole)]:
            del self._free[memory_type][page]
            self._map.free(page, 1, owner=Owner.POOL)
        else:
            self._free[memory_type][page] = joined
        return size

    def _carve(self, memory_type: MemoryType, size: int) -> int:
        pages = self._free.setdefault(memory_type, {})
        for page, pieces in pages.items():
            for index, (offset, length) in enumerate(pieces):
                if length < size:
                    continue
                if length == size:
                    del pieces[index]
                    if not pieces:
                        del pages[page]
                else:
                    pieces[index] = (offset + size, length - size)
                return page + offset
        page = self._map.allocate(AllocateType.AnyPages, memory_type, 1, owner=Owner.POOL)
        pages[page] = [(size, self._map.granularity(memory_type) - size)]
        return page
