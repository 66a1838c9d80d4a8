"""What a kernel that was launched dynamically measures first, before anything else: the entries of its policy.

The run ends at its first instruction. So this is done for it, as its own code would: by the SLR table in guest memory,
from locality 2. `shim.measure.profiles.drtm` predicts the same from a run folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.ports import MemoryFault
from efi_services.slaunch.generations import GENERATIONS
from efi_services.slaunch.slrt import Entity, SlrtError
from efi_services.tcg import log
from efi_services.tcg.algorithms import digests
from efi_services.tcg.commands import TpmError
from efi_services.tcg.events import Event, EventType, type_name
from shim.config import run as report
from shim.errors import UnreadableError
from shim.handoff import setup_data, x86
from shim.handoff.verdicts.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from efi_services.firmware import Firmware
    from efi_services.slaunch.generations import Generation
    from efi_services.slaunch.launcher import Launcher
    from efi_services.slaunch.preamble import Condition
    from efi_services.slaunch.slrt import Measured
    from shim.machine.ram import Ram

#: Bytes of `boot_params`: loadflags, and in it the flag that the launched kernel sets before it measures them.
_LOADFLAGS, _SLAUNCH_FLAG = 0x211, 1 << 2
_LOCALITY = 2
_MARKERS = EventType.TXT_EVTYPE_SLAUNCH_START, EventType.TXT_EVTYPE_SLAUNCH_END
_OUTCOMES = {True: Outcome.OK, False: Outcome.FAILED, None: Outcome.NOT_APPLICABLE}
#: The SLR table as it was at the launch, and the log of the launch and of what the kernel measures.
TABLE, LOG = "slrt.bin", "drtm.bin"


def measure(firmware: Firmware, ram: Ram) -> tuple[Event, ...]:
    """Extend what the launched kernel extends; gives all events of the launch. None where nothing was launched."""
    launcher = firmware.launcher
    if launcher is None or launcher.event is None or firmware.measurer.tpm is None:
        return ()
    generation = GENERATIONS[launcher.generation]
    ledger, client = firmware.measurer.tpm, firmware.measurer.client
    assert client is not None
    made = [launcher.event]
    try:
        for entry, data in _walk(launcher, generation, ram):
            event = Event(
                entry.pcr, EventType.TXT_EVTYPE_SLAUNCH, digests(ledger.algorithms, data), entry.text.encode("ascii")
            )
            client.extend(event.index, dict(event.digests), _LOCALITY)
            firmware.measurer.tell(ledger, event.index, type_name(event.type), dict(event.digests), entry.text)
            made.append(event)
    except (SlrtError, MemoryFault) as why:
        firmware.finding("launch-measurement", f"the kernel can't measure what its policy says: {why}")
    except TpmError as refusal:
        firmware.finding("launch-measurement", f"the TPM refuses: {refusal}")
    if generation.markers:
        begin, end = (
            Event(launcher.event.index, kind, {each: bytes(each.size) for each in ledger.algorithms}, b"")
            for kind in _MARKERS
        )
        made[1:] = [begin, *made[1:], end]
    return tuple(made)


def _walk(launcher: Launcher, generation: Generation, ram: Ram) -> Iterator[tuple[Measured, bytes]]:
    """What is measured, in order: the policy, then UEFI_CONFIG."""
    read = launcher.loader.read()
    for each in (*read.policy, *read.config):
        match each.entity:
            case Entity.SLRT:
                yield each, read.measured
            case Entity.BOOT_PARAMS:
                page = bytearray(ram.view(each.address, x86.SIZE))
                page[_LOADFLAGS] |= _SLAUNCH_FLAG
                yield each, bytes(page)
            case Entity.SETUP_DATA:
                for link in setup_data.links(each.address, ram.view):
                    if link.target is not None:
                        yield each, bytes(ram.view(*link.target))
                    if link.target is None or generation.both:
                        yield each, bytes(ram.view(link.content, link.size))
            case Entity.UNUSED | Entity.TXT_OS2MLE:
                # Since there is a table, nothing of the TXT heap is measured.
                continue
            case _:
                yield each, bytes(ram.view(each.address, each.size))


def verdicts(conditions: tuple[Condition, ...]) -> list[Verdict]:
    """The preamble's conditions as verdicts."""
    return [Verdict(each.rule, _OUTCOMES[each.met], each.sentence) for each in conditions]


def reported(firmware: Firmware) -> report.Launch | None:
    """For run.json; None where the platform launches nothing."""
    launcher = firmware.launcher
    if launcher is None:
        return None
    found = launcher.dlme
    return report.Launch(
        kernel=launcher.generation,
        architecture=launcher.architecture,
        form=launcher.form,  # type: ignore[arg-type]
        launched=launcher.entry is not None,
        dlme=None
        if found is None
        else report.Dlme(base=found.base, start=found.start, end=found.end, entry=found.entry, table=found.table),
        conditions=[
            report.Condition(rule=each.rule, outcome=each.outcome.value, sentence=each.sentence)
            for each in verdicts(launcher.conditions)
        ],
    )


def save(folder: Path, firmware: Firmware, events: tuple[Event, ...]) -> None:
    """Write the SLR table and the log, where there was a launch; raises UnreadableError."""
    launcher, ledger = firmware.launcher, firmware.measurer.tpm
    if launcher is None or ledger is None or not events:
        return
    try:
        (folder / TABLE).write_bytes(launcher.laid_out)
        (folder / LOG).write_bytes(log.encode(events, ledger.algorithms))
    except OSError as error:
        raise UnreadableError(f"{error.filename}: {error.strerror}") from None
