"""``efi-shim handoff``: the state at the kernel entry, decoded and judged."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from shim.errors import DiffersError


def handoff(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    json: Annotated[bool, typer.Option("--json", help="State and verdicts as JSON on stdout.")] = False,
) -> None:
    """Show what the kernel finds at its first instruction, and judge it by the boot protocol."""
    from shim.report.handoff import as_json, load, show
    from shim.trace.folder import open_run

    found = load(open_run(run))
    if json:
        sys.stdout.write(as_json(found))
    else:
        show(found)
    if found.failed:
        raise DiffersError(f"{run}: the hand-off breaks {', '.join(each.rule for each in found.failed)}")
