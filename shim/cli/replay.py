"""``efi-shim replay``: a run once more, for the rows of its accesses."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shim.errors import DiffersError, UsageError

if TYPE_CHECKING:
    from shim.replay import Given
    from shim.trace.folder import RunFolder


PayloadFile = Annotated[Path | None, typer.Option("--payload", help="The run's payload, if it is not in the cache.")]
Initrd = Annotated[Path | None, typer.Option("--initrd", help="The run's initrd.")]
Disks = Annotated[
    list[Path] | None, typer.Option("--disk", metavar="FILE|FOLDER", help="Each of the run's disks, in the same order.")
]
Stages = Annotated[
    list[str] | None,
    typer.Option("--stage", metavar="MODULE:NAME", help="Each of the run's stages, in the same order."),
]
MaxSeconds = Annotated[float, typer.Option("--max-seconds", min=0.01, help="Wall-clock budget of doing it again.")]


def replay(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, made with --trace exact.")],
    calls: Annotated[
        str | None,
        typer.Option(metavar="A..B", help="Only accesses from the start of call A to that of call B; either may lack."),
    ] = None,
    payload: PayloadFile = None,
    initrd: Initrd = None,
    disk: Disks = None,
    stage: Stages = None,
    max_seconds: MaxSeconds = 300.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Do a run again, compare it with what was recorded, and store its accesses row by row in its folder."""
    from shim.replay import replay as do_again
    from shim.report.quiet import live_unless
    from shim.trace.folder import open_run

    between = parse_calls(calls)
    folder = open_run(run)
    given = given_to(folder, payload, initrd, disk, stage, max_seconds)
    live = live_unless(quiet)
    with live:
        done = do_again(folder, given, between, live.progress)
    if done.differs:
        raise DiffersError(f"{run}: the replay was another run: {'; '.join(done.differs)}")
    live.say(f"The same run. {done.rows:,} accesses are in {run / 'accesses'}.")


def given_to(
    folder: RunFolder,
    payload: Path | None,
    initrd: Path | None,
    disks: list[Path] | None,
    stages: list[str] | None,
    max_seconds: float,
) -> Given:
    """What is needed to do a run again, found or as it was given."""
    from shim.cli.places import read_initrd
    from shim.disks.attached import settings_of
    from shim.replay import Given
    from shim.stages.load import load
    from shim.trace.inputs import find_initrd, find_payload

    # To be ended from outside is an end like Ctrl-C: nothing stays behind in the folder.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A run that began on a disk has its payload from there.
    program = None if folder.report.inputs.boot is not None else find_payload(folder, payload)
    data = find_initrd(folder, read_initrd(initrd) if initrd is not None else None)
    return Given(program, data, tuple(map(settings_of, disks or [])), tuple(map(load, stages or [])), max_seconds)


def parse_calls(text: str | None) -> tuple[int | None, int | None]:
    """``A..B``, ``A..``, ``..B``, or nothing for all."""
    if text is None:
        return None, None
    found = re.fullmatch(r"([0-9]{0,18})\.\.([0-9]{0,18})", text)
    if found is None or found[0] == "..":
        raise UsageError(f"--calls {text}: give two numbers of calls, such as 10..20, 10.. or ..20")
    first, last = (int(each) if each else None for each in found.groups())
    if first is not None and last is not None and first >= last:
        raise UsageError(f"--calls {text}: the second call has to come after the first")
    return first, last
