"""The `Authenticode` port, by ``payloads``."""

from __future__ import annotations

import payloads
from payloads.certificates import signed_data
from payloads.pe import authenticode


class PeDigests:
    """Authenticode digests and signatures of PE files."""

    def digest(self, image: bytes, algorithm: str) -> bytes:
        """The digest without signatures; raises ValueError where it is no PE file."""
        try:
            return authenticode(image, algorithm)
        except payloads.PayloadError as why:
            raise ValueError(str(why)) from None

    def signatures(self, image: bytes) -> tuple[bytes, ...] | None:
        """PKCS #7 SignedData of each signature, None where it isn't signed; raises ValueError with what is wrong."""
        try:
            return signed_data(image)
        except payloads.PayloadError as why:
            raise ValueError(str(why)) from None
