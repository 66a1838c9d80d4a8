"""Pages of guest memory, and the digest over them."""

from __future__ import annotations

import hashlib
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE = 4096


class Digest:
    """SHA-256 over address as little-endian u64, and bytes, of each page that goes through."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def through(self, pages: Iterable[tuple[int, memoryview]]) -> Iterator[tuple[int, memoryview]]:
        """The pages as they are, for who wants them too."""
        left = iter(pages)
        # A mebibyte at a time: two calls for each page would take longer than the hashing.
        while group := list(islice(left, 256)):
            parts = (part for address, page in group for part in (address.to_bytes(8, "little"), page))
            self._sha.update(b"".join(parts))
            yield from group

    def hexdigest(self) -> str:
        """Of those that went through."""
        return self._sha.hexdigest()


def digest_of(pages: Iterable[tuple[int, memoryview]]) -> str:
    """The digest of all."""
    digest = Digest()
    deque(digest.through(pages), maxlen=0)
    return digest.hexdigest()
