"""What the stub took, as a text that two runs can be compared by: its own digest is the one value.

One input in a line, in the order in which the stub took them: SHA-256 in hexadecimal, two spaces, and the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from shim.errors import UsageError

if TYPE_CHECKING:
    from shim.measure.model import Measured, Measurements


def inputs(measured: Measured) -> bytes:
    """The text; a UsageError where no inputs were measured as such."""
    found = measured.set_of("exact")
    if found is None:
        raise UsageError("inputs is a list of what the stub took, which --profile exact makes")
    return listed(found)


def listed(measurements: Measurements) -> bytes:
    """The text of a set of registers."""
    lines = (f"{each.digests[Algorithm.SHA256].hex()}  {_name(each.data)}\n" for each in measurements.events)
    return "".join(lines).encode()


def digest_of(measurements: Measurements) -> bytes:
    """The SHA-256 digest of the text."""
    return Algorithm.SHA256.digest(listed(measurements))


def _name(data: bytes) -> str:
    """A name in one line: a guest may have chosen it."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() and each != "\\" else f"\\u{ord(each):04x}" for each in text)
