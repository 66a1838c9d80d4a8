"""Keys that are pressed while the machine runs: a script, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.events import POLL_INTERVAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.ports import Clock

#: Scan codes of UEFI 2.10, section 12.1.2, table 12.4, by the names that scripts have for them.
SCAN_CODES = {
    "up": 0x01, "down": 0x02, "right": 0x03, "left": 0x04, "home": 0x05, "end": 0x06, "insert": 0x07, "delete": 0x08,
    "pageup": 0x09, "pagedown": 0x0A, **{f"f{number}": 0x0A + number for number in range(1, 13)}, "esc": 0x17,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """A key: its scan code, its character, and how long after the one before it is pressed, in nanoseconds.

    With *control*, the control key is held meanwhile.
    """

    scan_code: int = 0
    character: int = 0
    pause: int = 0
    control: bool = False


class Keyboard:
    """The keys of a script, one after the other; each waits until somebody has read the one before."""

    def __init__(self, clock: Clock, keys: tuple[Key, ...]) -> None:
        self._clock = clock
        self._keys = keys
        self._next = 0
        self._last = 0
        #: Told of each key that is read.
        self.listeners: list[Callable[[Key], None]] = []

    def due(self) -> int | None:
        """When the next key can be read, in virtual nanoseconds; None where there is no more."""
        return self._last + self._keys[self._next].pause if self._next < len(self._keys) else None

    def read(self) -> Key | None:
        """The key that is there to be read.

        Where there is none, time passes until the next look of a driver: a program that polls waits, and would wait
        for as many service calls as the time that it waits for has microseconds.
        """
        due = self.due()
        if due is None or due > self._clock.now:
            self._clock.advance(POLL_INTERVAL)
            return None
        self._next += 1
        self._last = self._clock.now
        pressed = self._keys[self._next - 1]
        for tell in self.listeners:
            tell(pressed)
        return pressed
