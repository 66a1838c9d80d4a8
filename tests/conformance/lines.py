"""What the self-test says: its lines on the console, and those that it keeps for after ExitBootServices."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The variable in which it leaves what it checked without a console.
VARIABLE, VENDOR = "SelfTest", "d6c1f0a4-5b1e-4c57-9e3b-418a026df760"
#: Consoles on serial lines put colours and positions between the text.
_ESCAPES = re.compile(r"\x1b\[[0-9;=?]*[A-Za-z]")
_LINE = re.compile(r"(PASS|FAIL) ([A-Za-z0-9]\S*?)(?:: (.+))?")
_COUNT = re.compile(r"(\d+) checks(?: after ExitBootServices)?, (\d+) failed")


class Broken(Exception):
    """It did not come to its end, or its lines are not as they should be; in one line."""


@dataclass(frozen=True)
class Line:
    """One check: its name, whether it held, and what came in the place of a status."""

    name: str
    passed: bool
    said: str

    def __str__(self) -> str:
        return ("passes" if self.passed else "fails") + (f" with {self.said}" if self.said else "")


def checks(console: str, left: str) -> dict[str, Line]:
    """The checks by name, in their order; raises Broken where lines are missing, more than told, or twice there."""
    found: dict[str, Line] = {}
    for part in (console, left):
        lines, counted = _part(part)
        for each in lines:
            if each.name in found:
                raise Broken(f"{each.name} was checked twice")
            found[each.name] = each
        told = (len(lines), sum(not each.passed for each in lines))
        if counted != told:
            raise Broken(f"its count is {counted}, its lines are {told}")
    return found


def _part(text: str) -> tuple[list[Line], tuple[int, int] | None]:
    lines: list[Line] = []
    counted = None
    for each in _ESCAPES.sub("", text).splitlines():
        if match := _LINE.fullmatch(each.strip()):
            lines.append(Line(match[2], match[1] == "PASS", match[3] or ""))
        elif match := _COUNT.fullmatch(each.strip()):
            before = counted or (0, 0)
            counted = before[0] + int(match[1]), before[1] + int(match[2])
    return lines, counted
