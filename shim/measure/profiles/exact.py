"""This project's own profile: whatever the stub took from outside itself, as one list in the order in which it came.

Its one register is extended with each of them. The option pcr makes it a TPM's, for forms that know of no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from shim.errors import UsageError
from shim.measure.consumed import consumed
from shim.measure.model import Measured, Measurements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.trace.folder import RunFolder

#: Those that anybody may extend, and that no dynamic launch resets.
_PCRS = (*range(17), 23)
OPTIONS = {"pcr": "0 to 16, or 23: the events are those of this PCR, and so fit into logs; without, it is no PCR"}


def build(run: RunFolder, given: Mapping[str, str]) -> Measured:
    """All that the stub asked for, and of what was there from the start what it read."""
    index = _pcr(given["pcr"]) if "pcr" in given else None
    events = tuple(
        Event(index or 0, EventType.EV_IPL, each.piece.digests, each.piece.name.encode("utf-8", "replace"))
        for each in consumed(run)
        # Files have no address: what a stub gets of them lies in memory, as load options or from a protocol.
        if each.piece.address and each.taken
    )
    kind = "exact" if index is None else "tpm"
    payload = run.report.payload
    measurements = Measurements(kind, tuple(Algorithm), events)
    return Measured(payload.name, payload.version, payload.sha256, "exact", (measurements,))


def _pcr(text: str) -> int:
    if text not in map(str, _PCRS):
        raise UsageError(f"pcr={text}: give a number from 0 to 16, or 23")
    return int(text)
