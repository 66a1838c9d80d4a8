"""A linear framebuffer in guest memory: pixels of four bytes, blue first, row by row without gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from efi_services.ports import Memory

PIXEL_BYTES = 4
BLACK = bytes(PIXEL_BYTES)


@dataclass(frozen=True, slots=True)
class Resolution:
    """How many pixels a screen has."""

    width: int
    height: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.width * PIXEL_BYTES

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return self.row_bytes * self.height


@dataclass(frozen=True, slots=True)
class Picture:
    """What a screen showed: *pixels* as they lie in the framebuffer."""

    resolution: Resolution
    pixels: bytes


class Framebuffer:
    """The memory at *base*, seen as a screen of some resolution. Callers see to it that rectangles lie within it."""

    def __init__(self, memory: Memory, base: int, resolution: Resolution) -> None:
        self._memory = memory
        self.base = base
        self.resolution = resolution

    def at(self, x: int, y: int) -> int:
        """The address of a pixel."""
        return self.base + y * self.resolution.row_bytes + x * PIXEL_BYTES

    def fill(self, x: int, y: int, width: int, height: int, pixel: bytes) -> None:
        """Give all of a rectangle one colour."""
        for row in range(y, y + height):
            self._memory.write(self.at(x, row), pixel * width)

    def clear(self) -> None:
        """Make everything black."""
        self._memory.fill(self.base, self.resolution.size, 0)

    def take(self, x: int, y: int, width: int, height: int, source: int, step: int) -> None:
        """Fill a rectangle from the rows at *source*, which are *step* bytes apart."""
        for row in range(height):
            self._memory.copy(self.at(x, y + row), source + row * step, width * PIXEL_BYTES)

    def give(self, x: int, y: int, width: int, height: int, destination: int, step: int) -> None:
        """Copy a rectangle to rows at *destination*, which are *step* bytes apart."""
        for row in range(height):
            self._memory.copy(destination + row * step, self.at(x, y + row), width * PIXEL_BYTES)

    def move(self, x: int, y: int, width: int, height: int, to_x: int, to_y: int) -> None:
        """Copy a rectangle to another place, which may overlap it."""
        # Downwards from the last row, or rows would be overwritten before their turn.
        rows = range(height) if to_y <= y else reversed(range(height))
        for row in rows:
            self._memory.copy(self.at(to_x, to_y + row), self.at(x, y + row), width * PIXEL_BYTES)

    def picture(self) -> Picture:
        """What is on the screen."""
        return Picture(self.resolution, self._memory.read(self.base, self.resolution.size))
