"""``efi-shim fetch`` and ``efi-shim payloads``: the catalogue and the cache."""

import sys
from typing import Annotated

import typer


def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names from the catalogue; see efi-shim payloads.")
    ],
) -> None:
    """Get payloads of the catalogue from the distribution's mirror."""
    from payloads import catalogue
    from payloads.fetch import fetch as get
    from shim.config.places import cache_folder
    from shim.report.live import Live

    live = Live()
    for entry in [catalogue.find(name) for name in names]:
        found = get(entry, cache=cache_folder(), progress=live.say)
        sys.stdout.write(f"{entry.name} {found.package} {found.version} {found.path}\n")


def payloads(
    carried: Annotated[
        bool, typer.Option("--carried", help="List the names of all versions that the mirror has now, a line each.")
    ] = False,
) -> None:
    """List the payloads of the catalogue, and what the cache holds."""
    if carried:
        _list_carried()
        return
    from rich.table import Table

    from payloads import catalogue
    from payloads.fetch import cached
    from shim.config.places import cache_folder
    from shim.report.text import stdout_console

    table = Table("name", "cached version", "what it is", box=None, pad_edge=False)
    for entry in catalogue.entries():
        found = cached(entry, cache_folder())
        table.add_row(entry.name, found.version if found else "-", entry.description)
    console = stdout_console()
    console.print(table)
    stems = {name.removeprefix("program:").rpartition("-")[0]: None for name in catalogue.programs()}
    console.print(f"\nThe project's own programs, as program:NAME: {', '.join(stems)}", soft_wrap=True)


def _list_carried() -> None:
    from payloads import MissingPart, catalogue
    from payloads.fetch import carried
    from shim.config.places import cache_folder
    from shim.report.live import Live

    live = Live()
    unread: dict[str, None] = {}
    for entry, version in carried(catalogue.entries(), cache=cache_folder(), progress=live.say):
        if isinstance(version, MissingPart):
            unread[str(version)] = None
        else:
            sys.stdout.write(f"{entry.name}@{version}\n")
    if unread:
        raise MissingPart("; ".join(unread))
