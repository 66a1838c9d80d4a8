"""Measurements extended into a TPM that runs: an swtpm, on which other tools can then be tried."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.tcg.client import TpmClient
from efi_services.tcg.commands import TpmError
from efi_services.tcg.registers import DYNAMIC, PCRS
from shim.errors import UnreadableError, UsageError
from shim.tpm.swtpm import Swtpm

if TYPE_CHECKING:
    from efi_services.tcg.algorithms import Algorithm
    from shim.measure.model import Measurements

#: A launched kernel's; the launch itself has measured into this PCR, and what it measured is not at hand.
_KERNEL, _LAUNCH_PCR = 2, 17


@dataclass(frozen=True, slots=True)
class Extended:
    """How many events were extended, in which banks, and the PCRs that came out otherwise than they should."""

    events: int
    banks: tuple[Algorithm, ...]
    differing: tuple[int, ...]


def extend_into(measurements: Measurements, where: str) -> Extended:
    """Extend the swtpm at *where* with each event, in the banks that both have; begin with a launch if there was one.

    Raises:
        UsageError: these are no PCRs, or there is no bank in common.
        MissingError: there is no swtpm.
        UnreadableError: it dies, or refuses.
    """
    _check(measurements)
    with closing(Swtpm(where)) as swtpm:
        return extend(measurements, swtpm, where)


def extend(measurements: Measurements, swtpm: Swtpm, where: str) -> Extended:
    """As `extend_into`, an swtpm that is connected."""
    _check(measurements)
    try:
        client = TpmClient(swtpm)
        client.startup()
        active, _ = client.banks()
        banks = tuple(each for each in measurements.algorithms if each in active)
        if not banks:
            wanted = ", ".join(each.label for each in measurements.algorithms)
            raise UsageError(f"the swtpm at {where} has no bank of {wanted}")
        if measurements.dynamic:
            swtpm.launch(b"")
        extending = [each for each in measurements.events if each.extends]
        for event in extending:
            digests = {each: event.digests[each] for each in banks if each in event.digests}
            client.extend(event.index, digests, locality=_KERNEL if event.index in DYNAMIC else 0)
        held = {each: client.read(each, range(PCRS)) for each in banks}
    except TpmError as refusal:
        raise UnreadableError(f"the swtpm at {where} answers {refusal}") from None
    differing = tuple(
        index
        for index, values in measurements.registers().items()
        if any(held[each][index] != values[each] for each in banks)
        and not (measurements.dynamic and index == _LAUNCH_PCR)
        and index not in measurements.given
    )
    return Extended(len(extending), banks, differing)


def _check(measurements: Measurements) -> None:
    if measurements.kind != "tpm":
        raise UsageError(f"into a TPM go PCRs, and what was measured is: {measurements.kind}")
