"""The TPM of a machine that goes on: an swtpm, with what the run has extended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.errors import UnreadableError, UsageError
from shim.measure.into import extend
from shim.measure.profiles import firmware
from shim.tpm.swtpm import powered_on

if TYPE_CHECKING:
    from pathlib import Path

    from shim.trace.folder import RunFolder


def leave_as(run: RunFolder, socket: Path) -> None:
    """Extend the swtpm with the control channel *socket* with each event of a run, so that QEMU begins with that.

    Raises:
        UsageError: the run measured into no TPM, or there is no bank in common.
        MissingError: there is no swtpm.
        UnreadableError: it refuses, its PCRs come out otherwise than told, or the run's files are damaged.
    """
    measured = firmware.build(run, {}).set_of("tpm")
    if measured is None:
        raise UsageError("--swtpm: the run measured into no TPM")
    with powered_on(str(socket)) as swtpm:
        made = extend(measured, swtpm, str(socket))
        if made.differing:
            names = ", ".join(map(str, made.differing))
            raise UnreadableError(f"{socket}: PCR {names} came out otherwise than the run's")
