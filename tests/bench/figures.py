"""What the benchmarks have in common: their arguments, and the table of their medians, docs/speed.csv."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

TABLE = Path(__file__).parents[2] / "docs" / "speed.csv"
COLUMNS = ("what", "measured", "wanted", "rounds")


def arguments(about: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with --rounds and --write."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--write", action="store_true", help="keep the medians in docs/speed.csv")
    return parser


def note(options: argparse.Namespace, what: str, measured: str, wanted: str = "") -> None:
    """Put a median into the table, in place of an earlier one of the same, if --write was given."""
    if not options.write:
        return
    rows = {}
    if TABLE.exists():
        with TABLE.open(encoding="utf-8", newline="") as file:
            rows = {row["what"]: row for row in csv.DictReader(file)}
    rows[what] = dict(zip(COLUMNS, (what, measured, wanted, str(options.rounds)), strict=True))
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows[each] for each in sorted(rows))
