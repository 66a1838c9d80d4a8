"""What Xen's pv-grub measures (stubdom/grub/kexec.c): SHA-1 only, by TPM 1.2's Extend, and no log is kept.

The log that comes of it here is for the reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.piece import piece
from shim.errors import MissingError, UsageError
from shim.measure import pieces
from shim.measure.model import Measured, Measurements
from shim.trace.inputs import find_payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.trace.folder import RunFolder

OPTIONS = {"tpm": "1.2, or none: there is no TPM, and the boot has to fail instead of passing unmeasured"}


def build(run: RunFolder, given: Mapping[str, str]) -> Measured:
    """The kernel file into PCR 4, then the command line without its end and the first module into PCR 5."""
    tpm = given.get("tpm", "1.2")
    if tpm not in ("1.2", "none"):
        raise UsageError(f"tpm={tpm}: give 1.2 or none")
    if tpm == "none":
        raise MissingError("profile xen: there is no TPM to measure into, so the kernel must not be started")
    found = {each.name: each for each in pieces.load(run.path / pieces.INPUTS)}
    found["payload"] = piece("payload", find_payload(run, run.payload).data)
    bank = (Algorithm.SHA1,)
    order = ((4, "payload", b"kernel"), (5, "command line", b"command line"), (5, "initrd", b"module 0"))
    events = tuple(
        Event(pcr, EventType.EV_IPL, {each: found[name].digests[each] for each in bank}, text)
        for pcr, name, text in order
        if name in found
    )
    payload = run.report.payload
    return Measured(payload.name, payload.version, payload.sha256, "xen", (Measurements("tpm", bank, events),))
