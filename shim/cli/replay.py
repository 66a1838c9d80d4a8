"""``efi-shim replay``: a run once more, for the rows of its accesses."""

import re
import signal
from pathlib import Path
from typing import Annotated

import typer

from shim.errors import DiffersError, UsageError


def replay(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, made with --trace exact.")],
    calls: Annotated[
        str | None,
        typer.Option(metavar="A..B", help="Only accesses from the start of call A to that of call B; either may lack."),
    ] = None,
    payload: Annotated[Path | None, typer.Option(help="The run's payload, if it is not in the cache.")] = None,
    initrd: Annotated[Path | None, typer.Option(help="The run's initrd.")] = None,
    disk: Annotated[
        list[Path] | None, typer.Option(metavar="FILE|FOLDER", help="Each of the run's disks, in the same order.")
    ] = None,
    stage: Annotated[
        list[str] | None, typer.Option(metavar="MODULE:NAME", help="Each of the run's stages, in the same order.")
    ] = None,
    max_seconds: Annotated[float, typer.Option(min=0.01, help="Wall-clock budget.")] = 300.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Do a run again, compare it with what was recorded, and store its accesses row by row in its folder."""
    from shim.cli.places import read_initrd
    from shim.disks.attached import settings_of
    from shim.replay import replay as do_again
    from shim.report.live import Live
    from shim.stages.load import load
    from shim.trace.folder import open_run
    from shim.trace.inputs import find_initrd, find_payload

    between = parse_calls(calls)
    # To be ended from outside is an end like Ctrl-C: nothing stays behind in the folder.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = open_run(run)
    # A run that began on a disk has its payload from there.
    program = None if folder.report.inputs.boot is not None else find_payload(folder, payload)
    data = find_initrd(folder, read_initrd(initrd) if initrd is not None else None)
    live = Live(quiet=quiet)
    with live:
        disks, stages = tuple(map(settings_of, disk or [])), tuple(map(load, stage or []))
        done = do_again(folder, program, data, between, max_seconds, live.progress, disks, stages)
    if done.differs:
        raise DiffersError(f"{run}: the replay was another run: {'; '.join(done.differs)}")
    live.say(f"The same run. {done.rows:,} accesses are in {run / 'accesses'}.")


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
