"""``efi-shim handoff``: the state at the kernel entry, decoded and judged."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from shim.cli.replay import Disks, Initrd, MaxSeconds, PayloadFile, Stages, given_to
from shim.errors import DiffersError


def handoff(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    json: Annotated[bool, typer.Option("--json", help="State and verdicts as JSON on stdout.")] = False,
    origins: Annotated[
        bool, typer.Option("--origins", help="Do the run again to see who wrote what the kernel finds.")
    ] = False,
    payload: PayloadFile = None,
    initrd: Initrd = None,
    disk: Disks = None,
    stage: Stages = None,
    max_seconds: MaxSeconds = 300.0,
) -> None:
    """Show what the kernel finds at its first instruction, and judge it by the boot protocol."""
    from shim.report.handoff import as_json, load, show
    from shim.trace.folder import open_run

    folder = open_run(run)
    if origins:
        from shim.replay import find_origins
        from shim.report.quiet import live_unless

        live = live_unless(json)
        given = given_to(folder, payload, initrd, disk, stage, max_seconds)
        with live:
            find_origins(folder, given, live.progress)
    found = load(folder)
    if json:
        sys.stdout.write(as_json(found))
    else:
        show(found)
    if found.failed:
        raise DiffersError(f"{run}: the hand-off breaks {', '.join(each.rule for each in found.failed)}")
