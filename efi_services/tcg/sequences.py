"""Hash and event sequences: what a TPM hashes that comes in pieces (TPM 2.0 Library, part 3, chapter 17)."""

from __future__ import annotations

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.commands import Rc, TpmError, at_handle

_FIRST = 0x8000_0000
#: How many there may be at once: what MAX_LOADED_OBJECTS is in the reference implementation.
MOST = 3
#: A sequence keeps its bytes until it is complete; no boot program sends a TPM that much.
MAX_BYTES = 64 << 20


class Sequences:
    """The sequences that were begun. All methods raise TpmError."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[Algorithm | None, bytearray]] = {}
        self.passwords: dict[int, bytes] = {}

    def check(self, handle: int, number: int) -> None:
        """Whether *handle*, which is the command's handle *number*, is one of a sequence."""
        if handle in self._open:
            return
        if handle >> 24 == _FIRST >> 24:
            raise TpmError(Rc.REFERENCE_H0 + number - 1)
        raise TpmError(at_handle(Rc.VALUE, number))

    def start(self, algorithm: Algorithm | None, password: bytes) -> int:
        """A new one that *password* authorizes, by one algorithm or (None) by all; gives its handle."""
        free = next((each for each in range(_FIRST, _FIRST + MOST) if each not in self._open), None)
        if free is None:
            raise TpmError(Rc.OBJECT_MEMORY)
        self._open[free] = (algorithm, bytearray())
        self.passwords[free] = password
        return free

    def update(self, handle: int, data: bytes) -> None:
        """More of its bytes."""
        _, collected = self._open[handle]
        if len(collected) + len(data) > MAX_BYTES:
            raise TpmError(Rc.OBJECT_MEMORY)
        collected += data

    def complete(self, handle: int, data: bytes) -> bytes:
        """The last bytes: gives the digest of all."""
        algorithm, collected = self._open[handle]
        if algorithm is None:
            raise TpmError(at_handle(Rc.MODE, 1))
        del self._open[handle], self.passwords[handle]
        return algorithm.digest(bytes(collected), data)

    def complete_event(self, handle: int, data: bytes) -> dict[Algorithm, bytes]:
        """The last bytes of an event: gives the digests of all."""
        algorithm, collected = self._open[handle]
        if algorithm is not None:
            raise TpmError(at_handle(Rc.MODE, 2))
        del self._open[handle], self.passwords[handle]
        return digests(tuple(Algorithm), bytes(collected) + data)
