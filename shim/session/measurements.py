"""What a run measured, as its folder tells: event logs as they are, and what they come to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from efi_services.tcg import log
from efi_services.tcg.commands import TpmError
from shim.config.run import Measurement
from shim.errors import UnreadableError
from shim.trace.writer import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from efi_services.tcg.ledger import Ledger
    from efi_services.tcg.measurer import Extension, Measurer

#: The log of each kind of registers.
FILES = {"tpm": "eventlog.bin", "tdx": "ccel.bin", "cca": "ccel.bin"}


def listed(extensions: Iterable[tuple[Extension, int | None]]) -> list[Measurement]:
    """The extended registers, in order, as run.json has them."""
    return [
        Measurement(
            pcr=each.index if each.kind == "tpm" else None,
            mr=None if each.kind == "tpm" else each.index,
            type=each.type,
            digests={algorithm.label: digest.hex() for algorithm, digest in each.digests.items()},
            description=each.description,
            call=call,
        )
        for each, call in extensions
    ]


def save(folder: Path, measurer: Measurer) -> None:
    """Write the logs and measurements.json, where the platform measures.

    Raises:
        UnreadableError: a file can't be written, or the TPM can't be read.
    """
    if not measurer.ledgers:
        return
    sets = []
    for ledger in measurer.ledgers:
        path = folder / FILES[ledger.kind]
        try:
            path.write_bytes(log.encode(ledger.events, ledger.algorithms, header_index=ledger.header_index))
        except OSError as error:
            raise UnreadableError(f"{path}: {error.strerror}") from None
        sets.append(_about(ledger, path.name))
    write_whole(folder / "measurements.json", json.dumps({"sets": sets}, indent=2) + "\n")


def _about(ledger: Ledger, file: str) -> dict[str, Any]:
    """One set of registers: *unknown* are those that hold more on a real machine, *known* what the platform told."""
    try:
        registers = ledger.registers.read()
    except TpmError as refusal:
        raise UnreadableError(f"the TPM's registers can't be read: it answers {refusal}") from None
    return {
        "kind": ledger.kind,
        "algorithms": [each.label for each in ledger.algorithms],
        "unknown": list(ledger.unknown),
        "known": {
            str(index): {each.label: value.hex() for each, value in values.items()}
            for index, values in ledger.known.items()
        },
        "file": file,
        "truncated": ledger.areas.log.truncated,
        "registers": {
            str(index): {each.label: value.hex() for each, value in values.items()}
            for index, values in registers.items()
        },
    }
