"""Guest RAM: one private, unreserved mapping that Unicorn uses by pointer."""

from __future__ import annotations

import ctypes
import mmap
import re
from typing import TYPE_CHECKING

from efi_services.ports import MemoryFault
from shim.pages import PAGE, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ZERO = bytes(PAGE)
_IN_USE = re.compile(rb"[^\0]+")
# Linux's number on all architectures that Python runs on there but a few; Python 3.11 doesn't export it.
_MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
_LIBC = ctypes.CDLL(None, use_errno=True)


class Ram:
    """RAM in one or more ranges of guest addresses.

    Host code reads it through `read` and `view` and writes it through `write`, `copy` and `fill` only: those
    tell `changed` what they did, since Unicorn doesn't notice writes from outside to code that it has translated.
    """

    def __init__(self, ranges: tuple[tuple[int, int], ...]) -> None:
        self.ranges = ranges
        self.size = sum(end - start for start, end in ranges)
        self._map = mmap.mmap(-1, self.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)
        self._view = memoryview(self._map)
        self._pointer = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.bytes_read = 0
        self.bytes_written = 0
        self.changed: Callable[[int, int], None] = lambda _start, _size: None
        #: Told of each access that the host makes for the guest: address, size, whether it writes.
        self.touched: Callable[[int, int, bool], None] | None = None

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """Guest address, size and host pointer of each range."""
        offset = 0
        for start, end in self.ranges:
            yield start, end - start, self._pointer + offset
            offset += end - start

    def view(self, address: int, size: int) -> memoryview:
        """Guest memory itself; raises MemoryFault where the range isn't all RAM."""
        offset = self._offset(address, size, write=False)
        return self._view[offset : offset + size]

    def read(self, address: int, size: int) -> bytes:
        """*size* bytes at *address*."""
        offset = self._offset(address, size, write=False)
        self._note_read(address, size)
        return self._map[offset : offset + size]

    def write(self, address: int, data: bytes) -> None:
        """Put *data* at *address*."""
        size = len(data)
        offset = self._offset(address, size, write=True)
        self._map[offset : offset + size] = data
        self._note_write(address, size)

    def copy(self, destination: int, source: int, size: int) -> None:
        """Move *size* bytes; the areas may overlap."""
        there = self._offset(destination, size, write=True)
        here = self._offset(source, size, write=False)
        self._map.move(there, here, size)
        self._note_read(source, size)
        self._note_write(destination, size)

    def fill(self, address: int, size: int, value: int) -> None:
        """Set *size* bytes to *value*."""
        offset = self._offset(address, size, write=True)
        ctypes.memset(self._pointer + offset, value, size)
        self._note_write(address, size)

    def used_pages(self) -> Iterator[tuple[int, memoryview]]:
        """Address and bytes of every page that isn't all zero, ascending. Pages never touched are not looked at."""
        resident = (ctypes.c_ubyte * (self.size // PAGE))()
        if _LIBC.mincore(ctypes.c_void_p(self._pointer), ctypes.c_size_t(self.size), resident) != 0:
            raise OSError(ctypes.get_errno(), "mincore")
        offset = 0
        for start, end in self.ranges:
            # A search, since there may be a hundred million pages and few in use.
            for run in _IN_USE.finditer(resident, offset // PAGE, (offset + end - start) // PAGE):
                for at in range(run.start() * PAGE, run.end() * PAGE, PAGE):
                    page = self._view[at : at + PAGE]
                    # As bytes: values of two views are compared one by one.
                    if page.tobytes() != _ZERO:
                        yield start + at - offset, page
            offset += end - start

    def digest(self) -> str:
        """SHA-256 over (address as little-endian u64, 4096 bytes) of every page that isn't all zero, ascending."""
        return digest_of(self.used_pages())

    def _note_read(self, address: int, size: int) -> None:
        self.bytes_read += size
        if self.touched is not None:
            self.touched(address, size, False)

    def _note_write(self, address: int, size: int) -> None:
        self.bytes_written += size
        self.changed(address, size)
        if self.touched is not None:
            self.touched(address, size, True)

    def _offset(self, address: int, size: int, *, write: bool) -> int:
        offset = 0
        for start, end in self.ranges:
            if start <= address and address + size <= end:
                return offset + address - start
            offset += end - start
        raise MemoryFault(address, size, write=write)
