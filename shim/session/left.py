"""What a run leaves to a kernel that follows without a reset: EFI variables, registers and logs, kept in its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from efi_services.resume import Resumed
from efi_services.secure_boot.modes import Mode
from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.registers import PCRS
from efi_services.variables import MAX_STORAGE, Variable
from shim.errors import UnreadableError
from shim.session.measurements import FILES

if TYPE_CHECKING:
    from efi_services.tcg.events import Event
    from shim.trace.folder import RunFolder

_STATE = "handoff/state.json"


def load(run: RunFolder) -> Resumed:
    """What *run* has left; raises UnreadableError where it isn't there, or makes no sense."""
    state = run.json(_STATE)
    if state is None:
        raise UnreadableError(f"{run.path / _STATE}: not in this run folder")
    mode = next(each for each in Mode if each.label == run.report.secure_boot.mode)
    try:
        variables = tuple(map(_variable, state["variables"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnreadableError(f"{run.path / _STATE}: damaged") from None
    if sum(each.size for each in variables) > MAX_STORAGE:
        raise UnreadableError(f"{run.path / _STATE}: more than firmware has room for")
    measured = run.json("measurements.json")
    registers, events = {}, {}
    try:
        sets = {each["kind"]: each for each in measured["sets"]} if measured is not None else {}
    except (KeyError, TypeError):
        raise UnreadableError(f"{run.path}/measurements.json: damaged") from None
    for kind, each in sets.items():
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
    if not sizes or len(banks) != 1 or set(found) != set(range(PCRS) if told["kind"] == "tpm" else range(1, 5)):
        raise UnreadableError(f"{path}: damaged")
    return found


def _events(run: RunFolder, kind: str) -> tuple[Event, ...]:
    if kind not in FILES:
        raise UnreadableError(f"{run.path}/measurements.json: damaged")
    path = run.path / FILES[kind]
    try:
        return log.decode(path.read_bytes()).events
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except ValueError as why:
        raise UnreadableError(f"{path}: {why}") from None
