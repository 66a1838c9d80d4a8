"""The answer to "might be interesting enough to measure": which inputs some register covers, and which none does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.tcg.events import EventType, split_variable_data, type_name
from efi_services.tcg.piece import Piece
from shim.errors import MissingError
from shim.measure import pieces
from shim.measure.consumed import Consumed, consumed
from shim.trace.inputs import find_payload

if TYPE_CHECKING:
    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.events import Event
    from shim.measure.model import Measured, Measurements
    from shim.trace.folder import RunFolder


_VARIABLES = {EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, EventType.EV_EFI_VARIABLE_BOOT}


@dataclass(frozen=True, slots=True)
class Covered:
    """An input and the events whose digest is its: register and type; none of them is the gap.

    None says that it can't be told: the payload, where its file isn't at hand.
    """

    consumed: Consumed
    by: tuple[str, ...] | None


def coverage(run: RunFolder, measured: Measured) -> list[Covered]:
    """Every input that the stub consumed, or was given where the run wasn't traced, with what covers it."""
    inputs = consumed(run)
    got = [each.piece.digests for each in inputs if each.piece.address]
    inputs = [each for each in inputs if each.piece.address or not _stands_for(each, got)]
    found = [*(Consumed(each, None) for each in _payload(run)), *inputs]
    return [
        Covered(
            each, tuple(name for one in measured.sets for name in _covering(each, one)) if each.piece.digests else None
        )
        for each in found
        if each.taken
    ]


def _stands_for(file: Consumed, got: list[dict[Algorithm, bytes]]) -> bool:
    """Whether what the stub got in memory is there instead: load options for the command line, a copy for the rest."""
    return file.piece.name == "command line" or file.piece.digests in got


def _payload(run: RunFolder) -> list[Piece]:
    """The payload by its Authenticode digests, and what it holds; without digests where it is not at hand."""
    try:
        payload = find_payload(run, run.payload)
    except MissingError:
        return [Piece(pieces.IMAGE, 0, run.report.payload.size, {})]
    return [pieces.image(payload.data), *pieces.sections(payload)]


def _covers(event: Event, input_: Consumed, measurements: Measurements) -> bool:
    """Whether an event's digest is the input's; a variable is measured along with its name and vendor."""
    piece = input_.piece
    if any(event.digests.get(each) == piece.digests.get(each) for each in measurements.algorithms):
        return True
    if event.type not in _VARIABLES or not piece.name.startswith("variable "):
        return False
    try:
        name, data = split_variable_data(event.data)
    except ValueError:
        return False
    measured = all(each.digest(event.data) == event.digests.get(each) for each in measurements.algorithms)
    return (
        measured
        and piece.name == f"variable {name}"
        and all(each.digest(data) == piece.digests.get(each) for each in measurements.algorithms)
    )


def _covering(input_: Consumed, measurements: Measurements) -> list[str]:
    """The events of one set that have the input's digest, by an algorithm of the set."""
    return [
        f"{measurements.kind} {event.index}, event {number}, {type_name(event.type)}"
        for number, event in enumerate(measurements.events)
        if event.extends and _covers(event, input_, measurements)
    ]
