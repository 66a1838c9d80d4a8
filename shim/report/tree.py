"""Nested facts as indented lines."""

from __future__ import annotations

import sys

from shim.report.text import plain


def write_tree(facts: dict[str, object], indent: int = 0) -> None:
    """Write *facts* to stdout: a line for each, what is inside one indented below it."""
    pad = "  " * indent
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        match value:
            case dict() if value:
                sys.stdout.write(f"{pad}{plain(name)}\n")
                write_tree({str(each): inner for each, inner in value.items()}, indent + 1)
            case [dict(), *_]:
                sys.stdout.write(f"{pad}{plain(name)}\n")
                for each in value:
                    entries = each.items() if isinstance(each, dict) else ()
                    line = ", ".join(f"{key} {inner}" for key, inner in entries if inner is not None)
                    sys.stdout.write(f"{pad}  {plain(line)}\n")
            case list() | tuple():
                sys.stdout.write(f"{pad}{plain(name):{width}}  {plain(', '.join(map(str, value))) or '-'}\n")
            case _:
                sys.stdout.write(f"{pad}{plain(name):{width}}  {'-' if value is None else plain(str(value))}\n")
