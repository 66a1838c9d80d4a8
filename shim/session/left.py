"""What a run leaves to a kernel that follows without a reset: EFI variables, registers and logs, kept in its folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from efi_services.resume import Resumed
from efi_services.secure_boot.modes import Mode
from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm
from efi_services.variables import MAX_STORAGE, Variable
from shim.errors import UnreadableError
from shim.session.measurements import FILES
from shim.trace.writer import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from efi_services.firmware import Firmware
    from efi_services.tcg.events import Event
    from shim.trace.folder import RunFolder

#: The variables as they are at the kernel entry.
VARIABLES = "handoff/variables.json"


def save(folder: Path, firmware: Firmware) -> None:
    """Write the variables; raises UnreadableError."""
    rows = [
        {
            "name": each.name,
            "vendor": str(each.vendor),
            "attributes": each.attributes,
            "data": each.data.hex(),
            "moment": list(each.moment),
            "owner": each.owner.hex(),
        }
        for each in firmware.variables
    ]
    text = json.dumps({"mode": firmware.variables.mode.label, "variables": rows}, indent=2)
    write_whole(folder / VARIABLES, text + "\n")


def load(run: RunFolder) -> Resumed:
    """What *run* has left; raises UnreadableError where it isn't there, or makes no sense."""
    told = run.json(VARIABLES)
    if told is None:
        raise UnreadableError(f"{run.path / VARIABLES}: not in this run folder")
    try:
        variables = tuple(map(_variable, told["variables"]))
        mode = next(each for each in Mode if each.label == told["mode"])
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
        raise UnreadableError(f"{run.path / VARIABLES}: damaged") from None
    if sum(each.size for each in variables) > MAX_STORAGE:
        raise UnreadableError(f"{run.path / VARIABLES}: more than firmware has room for")
    measured = run.json("measurements.json")
    registers, events = {}, {}
    for each in measured["sets"] if measured is not None else ():
        kind = each["kind"]
        registers[kind] = _registers(run, each)
        events[kind] = _events(run, kind)
    return Resumed(variables, mode, registers, events)


def _variable(row: dict[str, Any]) -> Variable:
    year, month, day, hour, minute, second = map(int, row["moment"])
    if not isinstance(row["name"], str) or not isinstance(row["attributes"], int):
        raise TypeError(row)
    return Variable(
        row["name"],
        UUID(row["vendor"]),
        row["attributes"],
        bytes.fromhex(row["data"]),
        (year, month, day, hour, minute, second),
        bytes.fromhex(row["owner"]),
    )


def _registers(run: RunFolder, told: dict[str, Any]) -> dict[int, dict[Algorithm, bytes]]:
    path = run.path / "measurements.json"
    try:
        found = {
            int(index): {Algorithm[name.upper()]: bytes.fromhex(value) for name, value in values.items()}
            for index, values in told["registers"].items()
        }
        sizes = all(len(value) == bank.size for values in found.values() for bank, value in values.items())
        banks = {tuple(values) for values in found.values()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnreadableError(f"{path}: damaged") from None
    if not sizes or len(banks) != 1 or not all(0 <= index < 24 for index in found):
        raise UnreadableError(f"{path}: damaged")
    return found


def _events(run: RunFolder, kind: str) -> tuple[Event, ...]:
    path = run.path / FILES.get(kind, "")
    try:
        return log.decode(path.read_bytes()).events
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except ValueError as why:
        raise UnreadableError(f"{path}: {why}") from None
