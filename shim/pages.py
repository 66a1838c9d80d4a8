"""Pages of guest memory, and the digest over them."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = 4096


def digest_of(pages: Iterable[tuple[int, memoryview]]) -> str:
    """SHA-256 over address as little-endian u64, and bytes, of each page."""
    sha, left = hashlib.sha256(), iter(pages)
    # A mebibyte at a time: two calls for each page would take longer than the hashing.
    while group := list(islice(left, 256)):
        sha.update(b"".join(part for address, page in group for part in (address.to_bytes(8, "little"), page)))
    return sha.hexdigest()
