"""What several formats share: the set they are about, and how its registers are called."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from efi_services.tcg.registers import MR_NAMES
from shim.errors import UsageError

if TYPE_CHECKING:
    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.events import Event
    from shim.measure.model import Measured, Measurements


def pcrs_of(measured: Measured, form: str) -> Measurements:
    """The set of a TPM; a UsageError where there is none."""
    return _set_of(measured, form, "PCRs", "tpm")


def confidential_of(measured: Measured, form: str) -> Measurements:
    """The set of confidential computing; a UsageError where there is none."""
    return _set_of(measured, form, "registers of confidential computing", "tdx", "cca")


def any_of(measured: Measured, form: str) -> Measurements:
    """The TPM's set, or that of confidential computing; a UsageError where there is neither."""
    return _set_of(measured, form, "registers", "tpm", "tdx", "cca")


def _set_of(measured: Measured, form: str, what: str, *kinds: str) -> Measurements:
    found = measured.set_of(*kinds)
    if found is None:
        there = ", ".join(each.kind for each in measured.sets) or "nothing"
        hint = "; --set pcr=16 puts it into a PCR" if there == "exact" else ""
        raise UsageError(f"{form} is made of {what}, and what was measured is: {there}{hint}")
    _check(found, form)
    return found


def _check(measurements: Measurements, form: str) -> None:
    """A log in which an extended bank has no digest would come to other registers than it tells of."""
    for number, event in enumerate(measurements.events):
        missing = [each.label for each in measurements.algorithms if each not in event.digests]
        if event.extends and missing:
            raise UsageError(f"{form} needs a digest for each bank, and event {number} has none for {missing[0]}")


def register_name(kind: str, index: int) -> str:
    """A register as people call it: PCR 4, RTMR1."""
    if kind == "tpm":
        return f"PCR {index}"
    if kind == "exact":
        return "inputs"
    names = MR_NAMES.get(kind, ())
    return names[index] if index < len(names) else f"MR {index}"


def unknown_names(measured: Measured) -> list[str]:
    """The registers whose value is not known."""
    return [register_name(each.kind, index) for each in measured.sets for index in sorted(each.unknown)]


def register_key(kind: str, index: int) -> str:
    """A register as a word for paths and keys: pcr4, rtmr1."""
    return register_name(kind, index).replace(" ", "").lower()


def labelled(digests: dict[Algorithm, bytes]) -> dict[str, str]:
    """Digests in hexadecimal, by the name of their algorithm."""
    return {each.label: digests[each].hex() for each in sorted(digests, key=lambda one: one.number)}


def hash_list(event: Event) -> list[dict[str, str]]:
    """Digests as CEL's JSON and systemd have them; an event that extends nothing has none."""
    if not event.extends:
        return []
    return [{"hashAlg": label, "digest": digest} for label, digest in labelled(event.digests).items()]


def canonical(value: object) -> str:
    """JSON in one line, the same for the same value (RFC 8785, for the plain strings and numbers used here)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def pretty(value: object) -> bytes:
    """JSON for files that people look at too."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
