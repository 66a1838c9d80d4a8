"""The RAM of a machine of QEMU's: a file without a name, which QEMU maps as well."""

from __future__ import annotations

import errno
import mmap
import os
from typing import TYPE_CHECKING, Self

from shim.errors import UnreadableError
from shim.pages import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: IOV_MAX.
_AT_ONCE = 1024


class SharedRam:
    """RAM in ranges of guest addresses that lie in one file, one behind the other."""

    def __init__(self, ranges: tuple[tuple[int, int], ...]) -> None:
        self._ranges = ranges
        self._size = sum(end - start for start, end in ranges)
        self.file = os.memfd_create("guest-ram")
        try:
            os.ftruncate(self.file, self._size)
            self._map = mmap.mmap(self.file, self._size)
        except OSError as error:
            os.close(self.file)
            raise UnreadableError(f"guest memory of {self._size} bytes: {error.strerror}") from None
        self._view = memoryview(self._map)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._view.release()
        self._map.close()
        os.close(self.file)

    def word(self, address: int) -> int:
        """The number of 64 bits at *address*."""
        at = self._offset(address)
        return int.from_bytes(self._view[at : at + 8], "little")

    def write(self, address: int, data: bytes | memoryview) -> None:
        """Put *data* at *address*; a number of 64 bits is written at once."""
        at = self._offset(address)
        self._view[at : at + len(data)] = memoryview(data).cast("B")

    def fill(self, pages: Iterable[tuple[int, memoryview]], kept: tuple[int, int]) -> None:
        """Make it zero but for *pages*, and but for the range that is *kept* as it is."""
        for start, end in self._used():
            for at in range(start, end, PAGE):
                if not kept[0] <= self._address(at) < kept[1]:
                    self._view[at : at + PAGE] = bytes(PAGE)
        for start, together in self._runs(pages, kept):
            # In place of the mapping, whose pages would be made zero first.
            if os.pwritev(self.file, together, start) != PAGE * len(together):
                raise UnreadableError("there is no memory left for the guest's")

    def _runs(
        self, pages: Iterable[tuple[int, memoryview]], kept: tuple[int, int]
    ) -> Iterator[tuple[int, list[memoryview]]]:
        """Where in the file pages go that follow each other there, as many as are written at once."""
        start, together = 0, list[memoryview]()
        for address, page in pages:
            if kept[0] <= address < kept[1]:
                continue
            at = self._offset(address)
            if together and (at != start + PAGE * len(together) or len(together) == _AT_ONCE):
                yield start, together
                together = []
            if not together:
                start = at
            together.append(page)
        if together:
            yield start, together

    def _used(self) -> Iterator[tuple[int, int]]:
        """Start and end of the parts of the file that somebody has written."""
        end = 0
        while True:
            try:
                start = os.lseek(self.file, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            end = os.lseek(self.file, start, os.SEEK_HOLE)
            yield start & -PAGE, end

    def _offset(self, address: int) -> int:
        before = 0
        for start, end in self._ranges:
            if start <= address < end:
                return before + address - start
            before += end - start
        raise UnreadableError(f"there is no guest memory at {address:#x}")

    def _address(self, offset: int) -> int:
        for start, end in self._ranges:
            if offset < end - start:
                return start + offset
            offset -= end - start
        raise ValueError(offset)
