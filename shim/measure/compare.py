"""A run's measurements beside the log of a real machine: event by event, and register by register."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from efi_services.tcg.events import type_name
from shim.errors import UsageError
from shim.measure.formats.alignment import align
from shim.measure.formats.common import register_name
from shim.measure.formats.explain import called, other_data, subject, why_other_digest
from shim.measure.formats.fields import SELF_HASHED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.events import Event
    from shim.measure.model import Measurements
    from shim.measure.readers import ReadLog

    Banks = tuple[Algorithm, ...]


class Kind(StrEnum):
    """How something differs."""

    DIFFERS = "differs"
    MISSING = "missing"
    EXTRA = "extra"
    ORDER = "order"
    DATA = "data"
    REGISTER = "register"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: of which register, of which events (numbers within the run and within the log), and why."""

    kind: Kind
    register: str
    ours: int | None
    theirs: int | None
    why: str

    @property
    def matters(self) -> bool:
        """Whether the machine was measured otherwise than the run tells.

        Other data with the same digest is no other measurement, and what can't be known is no difference.
        """
        return self.kind not in (Kind.DATA, Kind.UNKNOWN)

    def __str__(self) -> str:
        events = [f"{side} {each}" for side, each in (("ours", self.ours), ("theirs", self.theirs)) if each is not None]
        where = f" ({', '.join(events)})" if events else ""
        return f"{self.register}: {self.kind}{where}: {self.why}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """An event by its number, with what it is compared by."""

    number: int
    event: Event
    digests: tuple[bytes | None, ...]
    subject: tuple[int, str]

    def equals(self, other: _Entry) -> bool:
        """Whether both have the same digests; none at all are never the same."""
        return self.digests == other.digests and any(each is not None for each in self.digests)

    def is_like(self, other: _Entry) -> bool:
        """Whether they can be two versions of one event."""
        return self.subject == other.subject


def compare(
    ours: Measurements, theirs: ReadLog, values: Mapping[int, Mapping[Algorithm, bytes]] | None = None
) -> list[Difference]:
    """The differences, register by register; *values* are what the machine's registers hold, if that is known.

    Raises:
        UsageError: the two have no bank in common, or are about different kinds of registers.
    """
    if theirs.confidential is not None and theirs.confidential != (ours.kind != "tpm"):
        log = "those of confidential computing" if theirs.confidential else "PCRs"
        raise UsageError(f"the log's registers are {log}, and the run's are not")
    banks = tuple(each for each in ours.algorithms if each in theirs.algorithms)
    if not banks:
        raise UsageError(f"the log has no digests by {' or '.join(each.label for each in ours.algorithms)}")
    mine, other = _by_register(ours.events, banks), _by_register(theirs.events, banks)
    found: list[Difference] = []
    for index in sorted(mine.keys() | other.keys() | ours.unknown):
        name = register_name(ours.kind, index)
        if index in ours.given:
            continue
        differing = _events(name, mine.get(index, []), other.get(index, []), banks)
        if index in ours.unknown:
            # What ours lacks is the machine's own; what the log lacks, or has otherwise, is not.
            own = sum(each.kind is Kind.EXTRA for each in differing)
            why = f"a part of it is the machine's own: {own} events of the log"
            found.append(Difference(Kind.UNKNOWN, name, None, None, why))
            differing = [each for each in differing if each.kind is not Kind.EXTRA]
        found += differing
    return found + _registers(ours, theirs, banks, values or {})


def _by_register(events: tuple[Event, ...], banks: Banks) -> dict[int, list[_Entry]]:
    found: dict[int, list[_Entry]] = {}
    for number, event in enumerate(events):
        if event.extends:
            digests = tuple(event.digests.get(bank) for bank in banks)
            entry = _Entry(number, event, digests, (event.type, subject(event)))
            found.setdefault(event.index, []).append(entry)
    return found


def _events(register: str, ours: list[_Entry], theirs: list[_Entry], banks: Banks) -> list[Difference]:
    pairs = align(ours, theirs, _Entry.equals, _Entry.is_like)
    missing = [ours[mine] for mine, other in pairs if mine is not None and other is None]
    extra = [theirs[other] for mine, other in pairs if mine is None and other is not None]
    found: list[Difference] = []
    for mine, other in pairs:
        if mine is not None and other is not None:
            found += _pair(register, ours[mine], theirs[other], banks)
        elif other is not None:
            entry = theirs[other]
            moved = _moved(entry, missing, extra)
            if moved is None:
                found.append(Difference(Kind.EXTRA, register, None, entry.number, f"no {called(entry.event)} in ours"))
                continue
            missing.remove(moved)
            why = f"{called(entry.event)} is at another place"
            found.append(Difference(Kind.ORDER, register, moved.number, entry.number, why))
            found += _pair(register, moved, entry, banks)
    return found + [
        Difference(Kind.MISSING, register, each.number, None, f"no {called(each.event)} in the log") for each in missing
    ]


def _moved(entry: _Entry, missing: list[_Entry], extra: list[_Entry]) -> _Entry | None:
    """What of ours an *extra* entry is at another place: its equal, or else the only one that is left of its kind."""
    for each in missing:
        if entry.equals(each):
            return each
    alike = [each for each in missing if entry.is_like(each)]
    return alike[0] if len(alike) == 1 == sum(entry.is_like(each) for each in extra) else None


def _pair(register: str, ours: _Entry, theirs: _Entry, banks: Banks) -> list[Difference]:
    """What differs between two events that belong together."""

    def difference(kind: Kind, why: str) -> list[Difference]:
        return [Difference(kind, register, ours.number, theirs.number, f"{called(one)}: {why}")]

    one, two = ours.event, theirs.event
    lacking = [bank.label for bank in banks if bank not in one.digests or bank not in two.digests]
    if lacking:
        return difference(Kind.DIFFERS, f"not both have a digest by {lacking[0]}")
    unequal = [bank for bank in banks if one.digests[bank] != two.digests[bank]]
    if unequal:
        return difference(Kind.DIFFERS, why_other_digest(one, two, unequal, banks))
    if one.type != two.type:
        return difference(Kind.DATA, f"same digest, but {type_name(two.type)} in the log")
    if one.data == two.data:
        return []
    if one.type in SELF_HASHED:
        return difference(Kind.DIFFERS, f"same digest, and it can't be of both data: {other_data(one, two)}")
    return difference(Kind.DATA, f"{other_data(one, two)} (the digest is the same)")


def _registers(
    ours: Measurements, theirs: ReadLog, banks: Banks, values: Mapping[int, Mapping[Algorithm, bytes]]
) -> list[Difference]:
    """Registers as they come out, and as the machine has them."""
    mine, other = ours.registers(), theirs.registers(dynamic=ours.dynamic)
    found = []
    for index in sorted(mine.keys() | other.keys()):
        name = register_name(ours.kind, index)
        for bank in banks:
            one, two = mine.get(index, {}).get(bank), other.get(index, {}).get(bank)
            actual = values.get(index, {}).get(bank)
            if index not in ours.unknown and one != two:
                why = f"{bank.label} {_value(one)}, by the log {_value(two)}"
                found.append(Difference(Kind.REGISTER, name, None, None, why))
            if actual is not None and two is not None and actual != two:
                why = f"{bank.label} by the log {_value(two)}, but the machine has {_value(actual)}"
                found.append(Difference(Kind.REGISTER, name, None, None, why))
    return found


def _value(value: bytes | None) -> str:
    return "not extended" if value is None else value.hex()
