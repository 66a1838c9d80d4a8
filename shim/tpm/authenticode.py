"""The `Authenticode` port, by ``payloads``."""

from __future__ import annotations

import payloads
from payloads.pe import authenticode


class PeDigests:
    """Authenticode digests of PE files."""

    def digest(self, image: bytes, algorithm: str) -> bytes:
        """The digest without signatures; raises ValueError where it is no PE file."""
        try:
            return authenticode(image, algorithm)
        except payloads.PayloadError as why:
            raise ValueError(str(why)) from None
