"""Pages of guest memory, and the digest over them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = 4096


def digest_of(pages: Iterable[tuple[int, memoryview]]) -> str:
    """SHA-256 over address as little-endian u64, and bytes, of each page."""
    sha = hashlib.sha256()
    for address, page in pages:
        sha.update(address.to_bytes(8, "little"))
        sha.update(page)
    return sha.hexdigest()
