"""Nested facts as indented lines, and lists of alike facts as small tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from shim.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_tree(facts: dict[str, Any], indent: int = 0) -> None:
    """Write *facts* to stdout: a line for each, what is inside one indented below it."""
    pad = "  " * indent
    width = max((len(name) for name, value in facts.items() if _is_simple(value)), default=0)
    for name, value in facts.items():
        match value:
            case dict() if value:
                sys.stdout.write(f"{pad}{one_line(name)}\n")
                write_tree(value, indent + 1)
            case [dict(), *_] if all(_is_simple(inner) for each in value for inner in each.values()):
                sys.stdout.write(f"{pad}{one_line(name)}\n")
                _write_rows(value, indent + 1)
            case [dict(), *_]:
                for number, each in enumerate(value, 1):
                    sys.stdout.write(f"{pad}{one_line(name)} {number}\n")
                    write_tree(each, indent + 1)
            case _:
                sys.stdout.write(f"{pad}{one_line(name):{width}}  {_text(value)}\n")


def _write_rows(rows: Sequence[dict[str, Any]], indent: int) -> None:
    names = list(rows[0])
    lines = [names, *([_text(each.get(name)) for name in names] for each in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    for line in lines:
        cells = "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(f"{'  ' * indent}{cells}".rstrip() + "\n")


def _is_simple(value: object) -> bool:
    match value:
        case dict():
            return not value
        case list():
            return not any(isinstance(each, dict) for each in value)
    return True


def _text(value: object) -> str:
    match value:
        case None | [] | {} | ():
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return one_line(", ".join(map(str, value)))
        case _:
            return one_line(str(value))
