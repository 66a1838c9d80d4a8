"""The hash algorithms of measured boot (TCG Algorithm Registry; UEFI's bits for them: TCG EFI Protocol, 6.4)."""

from __future__ import annotations

import hashlib
from enum import Enum


class Algorithm(Enum):
    """A hash algorithm: TPM_ALG_ID, size of a digest in bytes, and its EFI_TCG2_BOOT_HASH_ALG bit."""

    SHA1 = (0x0004, 20, 0x01)
    SHA256 = (0x000B, 32, 0x02)
    SHA384 = (0x000C, 48, 0x04)
    SHA512 = (0x000D, 64, 0x08)

    def __init__(self, number: int, size: int, bit: int) -> None:
        self.number = number
        self.size = size
        self.bit = bit

    @property
    def label(self) -> str:
        """Its name as formats and tools spell it: sha256."""
        return self.name.lower()

    def digest(self, *parts: bytes | memoryview) -> bytes:
        """The digest of all *parts* in a row."""
        sha = hashlib.new(self.label, usedforsecurity=False)
        for part in parts:
            sha.update(part)
        return sha.digest()

    def extend(self, register: bytes, digest: bytes) -> bytes:
        """What a register holds after *digest* was extended into it."""
        return self.digest(register, digest)


def digests(algorithms: tuple[Algorithm, ...], data: bytes | memoryview) -> dict[Algorithm, bytes]:
    """The digest of *data* by each algorithm."""
    return {each: each.digest(data) for each in algorithms}


def by_number(number: int) -> Algorithm | None:
    """The algorithm of a TPM_ALG_ID, where we know it."""
    return next((each for each in Algorithm if each.number == number), None)


def by_label(label: str) -> Algorithm | None:
    """The algorithm of a name such as sha256."""
    return next((each for each in Algorithm if each.label == label.lower()), None)
