"""What firmware and stub measured in the run itself, into a TPM or the registers of confidential computing."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.log import LogError, decode
from efi_services.tcg.registers import MR_NAMES, PCRS
from shim.errors import UnreadableError
from shim.measure.formats.common import register_name
from shim.measure.model import Measured, Measurements
from shim.measure.readers import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from shim.trace.folder import RunFolder

#: The only names that we write: a folder may come from anybody.
_FILES = {"tpm": "eventlog.bin", "tdx": "ccel.bin", "cca": "ccel.bin"}


def build(run: RunFolder, _given: Mapping[str, str]) -> Measured:
    """The logs that the firmware kept, with the registers that it knows a part of only."""
    about = run.json("measurements.json")
    if about is None:
        raise UnreadableError(
            f"{run.path}: nothing was measured, since the platform has neither a TPM nor registers of confidential"
            " computing; run with --platform q35-tpm, or ask for another --profile"
        )
    try:
        sets = tuple(_set(run, each) for each in about["sets"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise UnreadableError(f"{run.path / 'measurements.json'}: damaged") from None
    payload = run.report.payload
    return Measured(payload.name, payload.version, payload.sha256, "firmware", sets)


def _set(run: RunFolder, about: dict[str, Any]) -> Measurements:
    """One set; raises ValueError and its like where what is said of it makes no sense."""
    kind = about["kind"]
    path = run.path / _FILES[kind]
    if about["file"] != path.name:
        raise ValueError(about["file"])
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise UnreadableError(f"{path}: larger than any log of a boot")
        log = decode(data)
    except LogError as error:
        raise UnreadableError(f"{path}: {error}") from None
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    algorithms = tuple(each for each in Algorithm if each.label in about["algorithms"])
    unknown = frozenset(map(int, about["unknown"]))
    given = {int(index): _digests(value) for index, value in about.get("known", {}).items()}
    registers = range(PCRS if kind == "tpm" else len(MR_NAMES[kind]))
    indices = unknown | given.keys() | {each.index for each in log.events if each.extends}
    if not algorithms or not indices <= set(registers):
        raise ValueError(kind)
    if any(value.keys() != set(algorithms) for value in given.values()):
        raise ValueError(kind)
    if not set(algorithms) <= set(log.algorithms):
        raise UnreadableError(f"{path}: damaged, or not the log that measurements.json tells of")
    name = functools.partial(register_name, kind)
    notes = tuple(f"{name(each)} is by the platform's word, and not all its events are known" for each in sorted(given))
    return Measurements(kind, algorithms, log.events, unknown, notes=notes, given=given)


def _digests(given: dict[str, str]) -> dict[Algorithm, bytes]:
    """Digests by algorithm; raises ValueError or KeyError."""
    found = {Algorithm[name.upper()]: bytes.fromhex(value) for name, value in given.items()}
    if any(len(value) != algorithm.size for algorithm, value in found.items()):
        raise ValueError(given)
    return found
