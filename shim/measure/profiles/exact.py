"""This project's own profile: whatever the stub took from outside itself, as one list in the order in which it came.

Its one register is extended with each of them, so one number tells whether two boots consumed the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from shim.measure.consumed import consumed
from shim.measure.model import Measured, Measurements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.trace.folder import RunFolder


def build(run: RunFolder, _given: Mapping[str, str]) -> Measured:
    """Inputs that were read, or all that were given where the run wasn't traced."""
    events = tuple(
        Event(0, EventType.EV_IPL, each.piece.digests, each.piece.name.encode("utf-8", "replace"))
        for each in consumed(run)
        # Files have no address: what a stub gets of them lies in memory, as load options or from a protocol.
        if each.piece.address and each.bytes_read != 0
    )
    payload = run.report.payload
    return Measured(
        payload.name, payload.version, payload.sha256, "exact", (Measurements("exact", tuple(Algorithm), events),)
    )
