"""``efi-shim query``: SQL over a run's tables."""

from pathlib import Path
from typing import Annotated

import typer

from shim.errors import UnreadableError, UsageError


def query(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    sql: Annotated[str, typer.Argument(metavar="SQL", help="A SELECT of DuckDB's SQL, or @FILE that holds it.")],
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
) -> None:
    """Ask SQL questions of a run's tables."""
    from shim.report.query import show_query
    from shim.trace.folder import open_run

    if form not in ("table", "csv", "json"):
        raise UsageError(f"--format {form}: give table, csv or json")
    if sql.startswith("@"):
        try:
            sql = Path(sql[1:]).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "not text"
            raise UnreadableError(f"{sql[1:]}: {why}") from None
    show_query(open_run(run), sql, form)
