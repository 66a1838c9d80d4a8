"""Bytes that somebody may measure, by their digests."""

from __future__ import annotations

from dataclasses import dataclass

from efi_services.tcg.algorithms import Algorithm, digests


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes: what they are, their address (0 for files), their size, and their digest by each algorithm.

    *call* is the service call by which the guest got them; None where they were there from the start.
    """

    name: str
    address: int
    size: int
    digests: dict[Algorithm, bytes]
    call: int | None = None


def piece(name: str, data: bytes | memoryview, address: int = 0, call: int | None = None) -> Piece:
    """A piece of its bytes."""
    return Piece(name, address, len(data), digests(tuple(Algorithm), data), call)
