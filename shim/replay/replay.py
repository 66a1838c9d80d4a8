"""Doing a run again: for the rows of its accesses, and to see that it is the same run."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shim.config.platform import load_platform
from shim.errors import DiffersError, UnreadableError, UsageError
from shim.session import from_disk
from shim.session.request import Progress, Request
from shim.session.run import Session
from shim.trace.tables import ACCESSES
from shim.trace.writer import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from payloads import Payload
    from shim.config.disks import DiskSettings
    from shim.config.run import RunReport
    from shim.stages.load import Stage
    from shim.trace.folder import RunFolder

#: What may differ: the host's doing, and what was asked for.
_MAY_DIFFER = {"engine", "timing"}
Calls = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it: rows stored, and what differs from the run (nothing, if all is well)."""

    rows: int
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """What a run's folder does not hold: its payload (None: a disk has it), initrd, disks and stages; the budget."""

    payload: Payload | None
    initrd: bytes | None = None
    disks: tuple[DiskSettings, ...] = ()
    stages: tuple[Stage, ...] = ()
    max_seconds: float = 300.0


def replay(
    run: RunFolder,
    given: Given,
    calls: Calls = (None, None),
    progress: Callable[[Progress], None] = lambda _progress: None,
) -> Replayed:
    """Do *run* again and store the rows of its accesses, or of those between two calls, in its folder.

    Nothing is stored if the replay is another run: its digest over all rows has to be the run's. A run that the
    host's clock or its user ended is compared as far as it went.
    """
    request = replace(request_of(run, given), keep=True, keep_calls=calls)
    with do_again(run, request, progress) as (made, differs):
        rows = 0 if differs else _take_over(run, made, whole=calls == (None, None))
    return Replayed(rows, differs)


def request_of(run: RunFolder, given: Given) -> Request:
    """What *run* was asked for."""
    was = run.report
    if was.accesses.level != "exact":
        raise UsageError(f"{run.path}: made with --trace calls; there is no digest of its accesses to compare with")
    if was.kexec is not None:
        raise UsageError(f"{run.path}: it follows another run by kexec, and is not done again alone")
    if tuple(each.name for each in given.stages) != tuple(was.inputs.stages):
        wanted = " ".join(f"--stage {each}" for each in was.inputs.stages)
        raise UsageError(f"{run.path}: it was made {f'with {wanted}: give the same' if wanted else 'without stages'}")
    platform = load_platform(str(run.path / "platform.toml"))
    platform = platform.with_disks_again(given.disks)
    cut = not was.engine.deterministic
    payload, boot = given.payload, None
    if payload is None:
        boot = from_disk.find(was.inputs.boot, platform)
        payload = boot.payload
    return Request(
        payload,
        platform,
        was.inputs.cmdline,
        given.initrd,
        "exact",
        was.inputs.seed,
        given.max_seconds,
        # Of a run that was cut off anywhere, the first accesses are compared: the block that was last may end here.
        max(was.engine.blocks + cut, 1) if was.outcome.kind == "budget" else 1 << 62,
        most_rows=was.accesses.count if cut else None,
        boot=boot,
        unprivileged=was.inputs.unprivileged,
        stages=given.stages,
    )


@contextmanager
def do_again(
    run: RunFolder, request: Request, progress: Callable[[Progress], None]
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A folder that *request* has made anew, for as long as it is looked at, and what differs from *run*.

    Raises:
        DiffersError: it did not come to its end.
        UnreadableError: the folder can't be written.
    """
    was = run.report
    try:
        with tempfile.TemporaryDirectory(prefix=".replay-", dir=run.path) as temporary:
            report = Session(request, Path(temporary), progress=progress).run()
            differs = _differences(was, report, cut=not was.engine.deterministic)
            if differs and not report.engine.deterministic:
                raise DiffersError(f"{run.path}: the replay did not come to its end: {report.outcome.detail}")
            yield Path(temporary), differs
    except OSError as error:
        raise UnreadableError(f"{run.path}: {error.strerror or error}") from None


def _differences(was: RunReport, now: RunReport, *, cut: bool) -> tuple[str, ...]:
    """The names of what differs, with both values where they are short."""
    old, new = was.model_dump(mode="json", by_alias=True), now.model_dump(mode="json", by_alias=True)
    if cut:
        names = ["accesses.digest"] if was.accesses.digest != now.accesses.digest else []
        return tuple(_difference(name, old, new) for name in names)
    return tuple(
        _difference(f"{part}.{name}" if isinstance(old[part], dict) else part, old, new)
        for part in old
        if part not in _MAY_DIFFER
        for name in (old[part] if isinstance(old[part], dict) else ("",))
        if (part, name) != ("accesses", "kept") and _at(old, part, name) != _at(new, part, name)
    )


def _at(report: dict[str, Any], part: str, name: str) -> Any:
    return report[part][name] if name else report[part]


def _difference(name: str, old: dict[str, Any], new: dict[str, Any]) -> str:
    part, _, inner = name.partition(".")
    before, after = str(_at(old, part, inner)), str(_at(new, part, inner))
    most = 100
    return f"{name}: {before}, now {after}" if len(before) + len(after) < most else name


def _take_over(run: RunFolder, made: Path, *, whole: bool) -> int:
    """Put the rows into the run's folder in place of what is there; if that fails, it stays there."""
    import pyarrow.parquet as pq

    there, new, old = run.path / ACCESSES.name, made / ACCESSES.name, made / "replaced"
    rows = sum(pq.read_metadata(path).num_rows for path in new.iterdir()) if new.exists() else 0
    accesses = run.report.accesses.model_copy(update={"kept": whole})
    try:
        if there.exists():
            there.rename(old)
        if rows:
            new.rename(there)
        write_whole(run.path / "run.json", run.report.model_copy(update={"accesses": accesses}).to_json())
    except BaseException:
        if rows and not new.exists():
            there.rename(new)
        if old.exists():
            old.rename(there)
        raise
    return rows
