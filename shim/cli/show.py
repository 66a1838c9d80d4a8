"""``efi-shim show``: a run as tables."""

from pathlib import Path
from typing import Annotated

import typer

from shim.errors import UsageError


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    what: Annotated[str, typer.Argument(help="calls, accesses, regions, events or handoff; the summary without.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Rows at the most; 0 for all.")] = 0,
) -> None:
    """Show a run: its summary, or one of its tables."""
    from shim.report import folder, tables

    views = {
        "": tables.show_summary,
        "calls": tables.show_calls,
        "accesses": tables.show_accesses,
        "regions": tables.show_regions,
        "events": tables.show_events,
        "handoff": tables.show_handoff,
    }
    if what not in views:
        raise UsageError(f"there is no view {what!r}; give {', '.join(each for each in views if each)}, or nothing")
    views[what](folder.open_run(run), limit)
