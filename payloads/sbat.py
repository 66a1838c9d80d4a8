"""SBAT: which components an image is made of, and how often each has been revoked for security bugs.

Source: the shim project's SBAT.md. The section ``.sbat`` is CSV: component, generation, vendor, package, version, URL.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from payloads.pe import section_bytes

if TYPE_CHECKING:
    from payloads.model import PeImage

_MAX_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class SbatRow:
    """One component; columns that a short row leaves out are empty."""

    component: str
    generation: str
    vendor: str
    package: str
    version: str
    url: str


def read_sbat(data: bytes, image: PeImage) -> tuple[SbatRow, ...]:
    """The rows of an image's ``.sbat`` section in their order; empty when it has none.

    Never fails: rows that are no SBAT rows (fewer than two columns) are left out, bytes that are no UTF-8 are replaced.
    """
    section = image.section(".sbat")
    if section is None:
        return ()
    text = section_bytes(data, section)[:_MAX_BYTES].split(b"\0", 1)[0].decode("utf-8", "replace")
    try:
        rows = [row for row in csv.reader(text.splitlines()) if len(row) >= 2]
    except csv.Error:
        return ()
    return tuple(SbatRow(*(row[:6] + [""] * (6 - len(row)))) for row in rows)
