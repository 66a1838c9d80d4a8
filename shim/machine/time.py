"""Virtual time and randomness: everything in a run that a host would otherwise decide."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shim.machine._native import Monitor


class VirtualClock:
    """Nanoseconds since power-on, shared with the native callback that answers RDTSC."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    @property
    def now(self) -> int:
        """Nanoseconds since power-on."""
        return self._monitor.time_ns

    def advance(self, nanoseconds: int) -> None:
        """Let time pass; it ends, but does not turn over, after 584 years."""
        self._monitor.time_ns = min(self._monitor.time_ns + nanoseconds, (1 << 64) - 1)


class SeededEntropy:
    """Bytes from SHA-256 over a seed, a purpose and a counter."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._key = f"efi-shim/{purpose}/{seed}/".encode()
        self._counter = 0
        self._rest = b""

    def take(self, size: int) -> bytes:
        """The next *size* bytes."""
        data = bytearray(self._rest)
        while len(data) < size:
            data += hashlib.sha256(self._key + str(self._counter).encode()).digest()
            self._counter += 1
        self._rest = bytes(data[size:])
        return bytes(data[:size])
