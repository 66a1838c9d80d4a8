"""A board's comparisons as a page of the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from judge import Row


@dataclass(frozen=True, slots=True)
class Section:
    """A part of one comparison."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A kernel on a board."""

    title: str
    #: What it ran on, by name.
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def page(board: str, comparisons: Iterable[Comparison]) -> str:
    """The page of a board."""
    parts = [f"# On QEMU's {board}\n", "`make fidelity` writes this page; [](fidelity.md) says what it is about.\n"]
    for each in comparisons:
        parts.append(f"## {each.title}\n")
        parts.append("\n".join(f"* {name}: {value}" for name, value in each.facts) + "\n")
        parts.append(_summary(each))
        for section in each.sections:
            parts.append(f"### {section.title}\n")
            parts.append(table(("what", "", "why, or the value"), _cells(section.rows)))
    return "\n".join(parts)


def _summary(comparison: Comparison) -> str:
    rows = []
    for each in comparison.sections:
        equal = sum(row.verdict.value == "equal" for row in each.rows)
        rows.append((each.title, str(equal), str(len(each.rows) - equal)))
    return table(("", "equal", "differ"), rows)


def _cells(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    return [(each.what, each.verdict.value, each.why) for each in rows]


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of text."""
    lines = [heads, ("---",) * len(heads), *(tuple(_escaped(cell) for cell in each) for each in rows)]
    return "".join(f"| {' | '.join(each)} |\n" for each in lines)


def _escaped(text: str) -> str:
    """Text in a cell as it is; what begins with two stars is emphasis of our own."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "\\<").replace("[", "\\[").replace("`", "\\`")
