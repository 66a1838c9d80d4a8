"""``efi-shim show``: a run as tables."""

import re
from pathlib import Path
from typing import Annotated

import typer

from shim.cli.replay import parse_calls
from shim.errors import UsageError


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    what: Annotated[
        str, typer.Argument(help="calls, accesses, regions, privileged, sbi, events or handoff; the summary without.")
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="Rows at the most; 0 for all.")] = 0,
    by: Annotated[str, typer.Option(help="Sum accesses by region, function, code (instruction) or call.")] = "region",
    code: Annotated[
        str | None, typer.Option(metavar="A..B", help="Only accesses by code at these addresses, in hexadecimal.")
    ] = None,
    calls: Annotated[
        str | None, typer.Option(metavar="A..B", help="Only accesses from the start of call A to that of call B.")
    ] = None,
) -> None:
    """Show a run: its summary, or one of its tables."""
    from shim.report import tables
    from shim.report.accesses import show_accesses
    from shim.trace import folder

    views = {
        "": tables.show_summary,
        "calls": tables.show_calls,
        "regions": tables.show_regions,
        "privileged": tables.show_privileged,
        "sbi": tables.show_sbi,
        "events": tables.show_events,
        "handoff": tables.show_handoff,
    }
    if what not in (*views, "accesses"):
        names = sorted((*filter(None, views), "accesses"))
        raise UsageError(f"there is no view {what!r}; give {', '.join(names)}, or nothing")
    if what == "accesses":
        show_accesses(folder.open_run(run), limit, by, _parse_code(code), parse_calls(calls))
        return
    if by != "region" or code is not None or calls is not None:
        raise UsageError("--by, --code and --calls are for accesses")
    views[what](folder.open_run(run), limit)


def _parse_code(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    found = re.fullmatch(r"((?:0x)?[0-9a-fA-F]{0,16})\.\.((?:0x)?[0-9a-fA-F]{0,16})", text)
    try:
        if found is None or found[0] == "..":
            raise ValueError
        first, last = (int(each, 16) if each else None for each in found.groups())
    except ValueError:
        raise UsageError(f"--code {text}: give two addresses, such as 0x3fd80000..0x3fd90000") from None
    return first, last
