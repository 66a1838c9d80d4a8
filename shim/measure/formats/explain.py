"""Events in words: what one is called, what it is about, and how two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.events import EventType, type_name
from shim.measure.formats.fields import SELF_HASHED, describe, fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.events import Event

_SHORT = 80


def called(event: Event) -> str:
    """The event's type, and what it says."""
    said = describe(event)
    return f'{type_name(event.type)} "{said}"' if said else type_name(event.type)


def subject(event: Event) -> str:
    """What an event is about: two with another subject are no two versions of one."""
    said = fields(event)
    return said.get("tag", "") if event.type == EventType.EV_EVENT_TAG else said.get("variable", "")


def contradicts(event: Event) -> bool:
    """Whether the digests should be those of the data, and are not."""
    return event.type in SELF_HASHED and any(one.digest(event.data) != value for one, value in event.digests.items())


def why_other_digest(ours: Event, theirs: Event, unequal: Iterable[Algorithm], banks: Iterable[Algorithm]) -> str:
    """Why the digests of two events that belong together are not equal."""
    labels = [each.label for each in unequal]
    if len(labels) < len(list(banks)):
        return f"other digest by {', '.join(labels)} alone: one of the logs contradicts itself"
    if contradicts(theirs):
        return "other digest, and it is not that of the data in the log"
    if ours.data == theirs.data:
        return "other digest; what was measured is not in the log, and what it says of it is the same"
    return other_data(ours, theirs)


def other_data(ours: Event, theirs: Event) -> str:
    """In which fields the data of two events differ, with both values."""
    one, two = fields(ours), fields(theirs)
    differing = [key for key in one if key in two and one[key] != two[key]]
    if differing:
        return ", ".join(f"{key} {_short(one[key])}, in the log {_short(two[key])}" for key in differing)
    return f"data {_short(ours.data.hex())}, in the log {_short(theirs.data.hex())}"


def _short(text: str) -> str:
    return (text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}...") or "nothing"
