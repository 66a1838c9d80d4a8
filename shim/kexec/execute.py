"""Loading the next kernel in a finished run, judging what was loaded, and running it on what the run left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from shim.config import run as report
from shim.config.platform import load_platform
from shim.errors import DiffersError, UnreadableError, UsageError
from shim.handoff.verdicts.verdict import Outcome, Verdict
from shim.kexec import handover, segments, tables
from shim.kexec.segments import REBOOT, Loaded
from shim.measure import ima, ima_list
from shim.measure.ima_list import ListError
from shim.session import left
from shim.session.link import Link

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from efi_services.resume import Resumed
    from shim.config.disks import DiskSettings
    from shim.config.platform import Platform
    from shim.measure.ima_list import Entry
    from shim.stages.load import Stage
    from shim.trace.folder import RunFolder

#: In a run folder: the measurement list as its kernel was handed it.
BUFFER = "ima.bin"
_MOST_BUFFER = 64 << 20
_NAMES = {Outcome.OK: "ok", Outcome.FAILED: "failed", Outcome.NOT_APPLICABLE: "not-applicable"}


def load(
    run: RunFolder, name: str, kernel: bytes, initrd: bytes | None, cmdline: str | None, listed: bytes | None
) -> Loaded:
    """Load a kernel as the one that follows *run*.

    *listed* is the measurement list of the run's kernel (binary_runtime_measurements). Without it, it is what that
    kernel was handed, and the one entry that each kernel adds by itself, boot_aggregate.

    Raises:
        UsageError: nothing can follow that run.
        UnreadableError: the folder, or the list.
    """
    if run.report.outcome.kind != "kernel-entry":
        raise UsageError(f"{run.path}: it ended as {run.report.outcome.kind}; a kernel can follow a kernel only")
    resumed = left.load(run)
    if listed is None:
        entries = [*_carried(run), _aggregate(resumed)]
    else:
        try:
            entries = ima_list.decode(listed)
        except ListError as why:
            raise UnreadableError(f"the measurement list: {why}") from None
    found = [
        ("kernel", kernel),
        ("initrd", initrd),
        ("command line", cmdline.encode() if cmdline is not None else None),
    ]
    parts = tuple((each, data) for each, data in found if data is not None)
    expected = ima_list.pcr_10(entries, _pcr_10(resumed))
    return Loaded(
        name,
        parts,
        segments.digest(parts),
        ima_list.buffer(entries),
        {bank.label: value.hex() for bank, value in expected.items()},
        run.report.memory.digest,
    )


def keep_list(made: Path, loaded: Loaded) -> None:
    """Keep the list in the folder of the run that it was handed to; raises UnreadableError."""
    try:
        (made / BUFFER).write_bytes(loaded.ima)
    except OSError as error:
        raise UnreadableError(f"{made / BUFFER}: {error.strerror}") from None


def judge(run: RunFolder, loaded: Loaded, resumed: Resumed) -> list[Verdict]:
    """What purgatory and the next kernel rely on, one by one: nobody has jumped yet."""
    return [
        _verdict("kexec-segments", *_segments(loaded)),
        _verdict("kexec-follows", *_follows(run, loaded)),
        _verdict("kexec-list", *_list(run, loaded)),
        _verdict("kexec-pcr-10", *_registers(run, loaded, resumed)),
    ]


@dataclass(frozen=True, slots=True)
class Next:
    """The run that follows, as the session wants it."""

    platform: Platform
    link: Link
    stages: tuple[Stage, ...]


def follow(run: RunFolder, loaded: Loaded, *, relaunch: bool, disks: Sequence[DiskSettings] = ()) -> Next:
    """Judge what was loaded, and make the next link of it.

    With *relaunch* the next kernel may be launched dynamically anew, where the platform can. *disks* are those that the
    run had; without any the next one has none.

    Raises:
        DiffersError: something is not what it was when it was loaded.
        MissingError: these are more disks, or fewer, than the run had.
        UsageError, UnreadableError: the run folder.
    """
    resumed = left.load(run)
    verdicts = judge(run, loaded, resumed)
    broken = [each for each in verdicts if each.outcome is Outcome.FAILED]
    if broken:
        why = "; ".join(f"{each.rule}: {each.sentence}" for each in broken)
        raise DiffersError(f"{run.path}: {why}: {REBOOT}")
    entries = ima_list.read_buffer(loaded.ima)
    before = run.report.kexec.ima.address if run.report.kexec is not None else None
    platform = load_platform(str(run.path / "platform.toml"))
    if platform.sha256 != run.report.platform.sha256:
        raise UnreadableError(f"{run.path / 'platform.toml'}: not the platform that run.json tells of")
    platform = platform.with_disks_again(disks) if disks else platform.with_disks(())
    if platform.tpm is not None and platform.tpm.swtpm is not None:
        raise UsageError(f"{run.path}: its TPM was an swtpm, whose state is not in the run folder")
    _check_banks(run, platform, resumed)
    if relaunch and platform.slaunch is None:
        raise UsageError(f"--relaunch: platform {platform.name} has nothing to launch a kernel dynamically with")
    going_on = tables.carried(run)
    vendors = {each.vendor for each in going_on.tables}
    platform = platform.model_copy(
        update={
            "tables": (*(each for each in platform.tables if each.vendor not in vendors), *going_on.tables),
            "slaunch": platform.slaunch and platform.slaunch.model_copy(update={"offered": relaunch}),
        }
    )
    told = handover.place(platform, len(loaded.ima), before)
    kexec = report.Kexec(
        segments=[
            report.Segment(name=name, size=len(data), memory_size=segments.memory_size(data))
            for name, data in loaded.segments
        ],
        sha256=loaded.sha256,
        ima=report.ImaBuffer(address=told.address, size=len(loaded.ima), entries=len(entries), pcr_10=loaded.pcr_10),
        relaunch=relaunch,
        conditions=[
            report.Condition(rule=each.rule, outcome=_NAMES[each.outcome], sentence=each.sentence)  # type: ignore[arg-type]
            for each in verdicts
        ],
        left_behind=list(going_on.left_behind),
    )
    was = run.report
    chain = (*was.chain, report.ChainLink(payload=was.payload, memory_digest=was.memory.digest))
    handed = (("measurement list", told.address, loaded.ima),)
    link = Link(_extended(resumed, entries), handed, chain, kexec)
    return Next(told.platform, link, told.stages)


def _check_banks(run: RunFolder, platform: Platform, resumed: Resumed) -> None:
    """Refuse registers that the platform doesn't have."""
    wanted = {} if platform.tpm is None else {"tpm": set(platform.tpm.active)}
    wanted |= {} if platform.cc is None else {platform.cc.kind: {platform.cc.hash}}
    found = {kind: {bank.label for bank in next(iter(told.values()))} for kind, told in resumed.registers.items()}
    if found != wanted:
        raise UnreadableError(f"{run.path / 'measurements.json'}: other registers than the platform's")


def _segments(loaded: Loaded) -> tuple[bool, str]:
    if not loaded.intact:
        return False, f"the segments' SHA-256 is {segments.digest(loaded.segments)}, and was {loaded.sha256}"
    return True, f"the segments' SHA-256 is {loaded.sha256}"


def _follows(run: RunFolder, loaded: Loaded) -> tuple[bool, str]:
    if loaded.follows != run.report.memory.digest:
        return False, "all this was loaded in another run"
    return True, "this is the run that it was loaded in"


def _list(run: RunFolder, loaded: Loaded) -> tuple[bool, str]:
    try:
        entries = ima_list.read_buffer(loaded.ima)
    except ListError as why:
        return False, f"the measurement list: {why}"
    carried = _carried(run)
    if entries[: len(carried)] != carried:
        return False, f"the measurement list does not begin with the {len(carried)} entries that were handed over"
    return True, f"the measurement list has {len(entries)} entries, {len(carried)} of them handed over before"


def _registers(run: RunFolder, loaded: Loaded, resumed: Resumed) -> tuple[bool | None, str]:
    now = _pcr_10(resumed)
    if not now:
        return None, "there is no TPM"
    try:
        entries, carried = ima_list.read_buffer(loaded.ima), _carried(run)
    except ListError:
        return None, "there is no measurement list"
    if ima_list.pcr_10(carried, now) != now:
        return False, "PCR 10 is not what the list comes to that was handed over before"
    found = {bank.label: value.hex() for bank, value in ima_list.pcr_10(entries, now).items()}
    if found != loaded.pcr_10:
        return False, f"the measurement list comes to {_text(found)} in PCR 10, and has to equal {_text(loaded.pcr_10)}"
    return True, f"PCR 10 is {_text(found)} after the list"


def _text(values: Mapping[str, str]) -> str:
    return ", ".join(f"{bank}:{value}" for bank, value in values.items())


def _verdict(rule: str, well: bool | None, sentence: str) -> Verdict:
    return Verdict(rule, {True: Outcome.OK, False: Outcome.FAILED, None: Outcome.NOT_APPLICABLE}[well], sentence)


def _pcr_10(resumed: Resumed) -> dict[Algorithm, bytes]:
    return dict(resumed.registers.get("tpm", {}).get(ima_list.PCR, {}))


def _aggregate(resumed: Resumed) -> Entry:
    """boot_aggregate by SHA-256, as Debian's kernels have it, or by what bank there is; zeroes without a TPM."""
    banks = tuple(_pcr_10(resumed))
    if not banks:
        return ima_list.boot_aggregate(Algorithm.SHA256, bytes(Algorithm.SHA256.size))
    bank = Algorithm.SHA256 if Algorithm.SHA256 in banks else banks[0]
    return ima_list.boot_aggregate(bank, ima.aggregate(resumed.registers["tpm"], bank))


def _carried(run: RunFolder) -> list[Entry]:
    """The list that the run's kernel was handed; none where it was the first."""
    if run.report.kexec is None:
        return []
    path = run.path / BUFFER
    try:
        with path.open("rb") as file:
            return ima_list.read_buffer(file.read(_MOST_BUFFER))
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except ListError as why:
        raise UnreadableError(f"{path}: {why}") from None


def _extended(resumed: Resumed, entries: list[Entry]) -> Resumed:
    """The registers after what the run's kernel has measured, which nobody has executed."""
    tpm = resumed.registers.get("tpm")
    if tpm is None:
        return resumed
    values = {**tpm, ima_list.PCR: ima_list.pcr_10(entries, tpm[ima_list.PCR])}
    return replace(resumed, registers={**resumed.registers, "tpm": values})
