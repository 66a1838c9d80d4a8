"""What a boot puts into measurement registers, whichever profile and hardware it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from efi_services.tcg.registers import replay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.events import Event


@dataclass(frozen=True, slots=True)
class Measurements:
    """The events of one set of registers, in order.

    *kind* is tpm, tdx, cca or exact. The index of an event is a PCR for tpm, an MR index for tdx and cca (0 MRTD or
    RIM, 1 to 4 RTMR0 to 3 or REM0 to 3), and 0 for exact, whose one register is this project's own. *unknown* names
    registers whose values can't be told from these events alone: the firmware's own part is not known. *dynamic* says
    that there was a dynamic launch. *notes* are for people: what should be among the events, and isn't known.
    *given* is what registers hold by the platform's word, whose events are not all among these.
    """

    kind: str
    algorithms: tuple[Algorithm, ...]
    events: tuple[Event, ...]
    unknown: frozenset[int] = frozenset()
    dynamic: bool = False
    notes: tuple[str, ...] = ()
    given: Mapping[int, dict[Algorithm, bytes]] = field(default_factory=dict)

    def registers(self) -> dict[int, dict[Algorithm, bytes]]:
        """What the registers hold that were extended or given, without the unknown ones."""
        values = dict(sorted((replay(self.events, self.algorithms, dynamic=self.dynamic) | dict(self.given)).items()))
        return {index: value for index, value in values.items() if index not in self.unknown}


@dataclass(frozen=True, slots=True)
class Measured:
    """What there is to say of a run: its payload, and each set of registers. *profile* is how they came about."""

    name: str
    version: str | None
    sha256: str
    profile: str
    sets: tuple[Measurements, ...]

    def set_of(self, *kinds: str) -> Measurements | None:
        """The first set of one of these kinds."""
        return next((each for each in self.sets if each.kind in kinds), None)
