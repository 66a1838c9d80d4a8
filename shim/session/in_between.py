"""The stages between ExitBootServices and the kernel's first instruction: run one after the other, and written down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shim.config import run as report
from shim.handoff import state
from shim.stages.state import Changes, State, StoppedError, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from efi_services.firmware import Firmware
    from shim.machine.machine import Machine, Stop
    from shim.stages.load import Stage

Ended = tuple[list[report.StageReport], "Stop | None", "report.Outcome | None"]


def run_stages(stages: Sequence[Stage], machine: Machine, firmware: Firmware, stop: Stop) -> Ended:
    """Run them on the state at *stop*: gives their reports, and where the kernel is entered after all.

    Where a stage says no there is no such place, but an outcome; those behind it don't run.

    Raises:
        NotRunnableError: a stage broke.
    """
    reports: list[report.StageReport] = []
    # What a stage does is no service's doing, and is told of on its own.
    touched, machine.ram.touched = machine.ram.touched, None
    try:
        for stage in stages:
            changes = Changes(stage.name)
            why = _run(stage, State(machine, firmware, stop, state.collect(machine, firmware, stop), changes))
            reports.append(_reported(changes, machine))
            if why is not None:
                detail = f"stage {stage.name}: {why}"
                return reports, None, report.Outcome(kind="stopped", status=None, detail=detail)
            (pc,) = machine.read((machine.architecture.program_counter,))
            stop = replace(stop, pc=pc)
    finally:
        machine.ram.touched = touched
    return reports, stop, None


def _run(stage: Stage, given: State) -> str | None:
    try:
        stage.run(given)
    except StoppedError as why:
        return str(why)
    return None


def _reported(changes: Changes, machine: Machine) -> report.StageReport:
    return report.StageReport(
        name=changes.name,
        written=[
            report.Written(address=start, size=end - start, sha256=digest_of(machine, start, end))
            for start, end in changes.spans()
        ],
        registers={
            name: report.RegisterChange(before=before, after=after)
            for name, (before, after) in changes.registers.items()
        },
        notes=changes.notes,
    )
