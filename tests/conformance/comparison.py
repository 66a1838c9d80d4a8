"""Two firmwares' checks side by side, and what is known of their differences."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lines import Line

REASONS = Path(__file__).with_name("reasons.toml")


@dataclass(frozen=True)
class Reason:
    """Why a check ends otherwise on their firmware than on ours."""

    checks: tuple[str, ...]
    theirs: str
    wrong: str
    section: str
    why: str
    ours: str = "passes"
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """A check that does not end the same, and the reason where there is one."""

    machine: str
    check: str
    ours: str
    theirs: str
    reason: Reason | None


def reasons() -> list[Reason]:
    """The reasons that are written down."""
    tables = tomllib.loads(REASONS.read_text("utf-8"))["difference"]
    return [Reason(**{**each, "checks": tuple(each["checks"]), "only": tuple(each.get("only", ()))}) for each in tables]


def compare(machine: str, ours: dict[str, Line], theirs: dict[str, Line], known: Iterable[Reason]) -> list[Difference]:
    """The differences, in the order of ours; a check that one of both lacks is one too."""
    found = []
    for name in ours | theirs:
        here, there = (str(each[name]) if name in each else "is not there" for each in (ours, theirs))
        # Two that fail in the same way are no agreement on what is right.
        if here == there and ours[name].passed:
            continue
        reason = next((each for each in known if _is_about(each, machine, name, here, there)), None)
        found.append(Difference(machine, name, here, there, reason))
    return found


def _is_about(reason: Reason, machine: str, name: str, here: str, there: str) -> bool:
    # What a check passes with is in its name, so to speak: only what it fails with has to be told.
    ours = "passes" if here.startswith("passes") else here
    theirs = "passes" if there.startswith("passes") else there
    machines = not reason.only or machine in reason.only
    return name in reason.checks and machines and (ours, theirs) == (reason.ours, reason.theirs)


def unused(known: Iterable[Reason], found: Iterable[Difference], machines: Iterable[str]) -> list[str]:
    """Checks that have a reason and no difference any more, on these machines."""
    there = {(each.machine, each.check) for each in found if each.reason}
    return [
        f"{machine}: {name}"
        for reason in known
        for name in reason.checks
        for machine in machines
        if (not reason.only or machine in reason.only) and (machine, name) not in there
    ]
