"""Which entries of two sequences belong together, at the least cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_T = TypeVar("_T")

#: Up to how many pairs all ways are weighed; beyond, entries are paired in their order. A register sees some dozens.
MAX_PAIRS = 1_000_000
#: What an entry without a partner costs, and a pair that is not equal. A pair must cost less than two such entries.
_ALONE, _UNLIKE = 2, 3

Pair = tuple[int | None, int | None]


def align(
    ours: Sequence[_T], theirs: Sequence[_T], equal: Callable[[_T, _T], bool], alike: Callable[[_T, _T], bool]
) -> list[Pair]:
    """Pairs of indices in order, None where the other side has no partner; only what is *alike* makes a pair."""
    start = 0
    while start < min(len(ours), len(theirs)) and equal(ours[start], theirs[start]):
        start += 1
    end = 0
    while end < min(len(ours), len(theirs)) - start and equal(ours[-1 - end], theirs[-1 - end]):
        end += 1
    rows, columns = len(ours) - start - end, len(theirs) - start - end
    middle = _weigh if rows * columns <= MAX_PAIRS else _in_order
    found: list[Pair] = [(each, each) for each in range(start)]
    for row, column in middle(ours[start : start + rows], theirs[start : start + columns], equal, alike):
        found.append((None if row is None else start + row, None if column is None else start + column))
    found += [(len(ours) - each, len(theirs) - each) for each in range(end, 0, -1)]
    return found


def _weigh(
    ours: Sequence[_T], theirs: Sequence[_T], equal: Callable[[_T, _T], bool], alike: Callable[[_T, _T], bool]
) -> list[Pair]:
    """Needleman and Wunsch: costs[row][column] is that of the rest from there."""
    rows, columns = len(ours), len(theirs)
    costs = [[_ALONE * (rows - row + columns - column) for column in range(columns + 1)] for row in range(rows + 1)]

    def pairing(row: int, column: int) -> int | None:
        if equal(ours[row], theirs[column]):
            return 0
        return _UNLIKE if alike(ours[row], theirs[column]) else None

    for row in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            least = min(costs[row + 1][column], costs[row][column + 1]) + _ALONE
            if (cost := pairing(row, column)) is not None:
                least = min(least, costs[row + 1][column + 1] + cost)
            costs[row][column] = least
    found: list[Pair] = []
    row = column = 0
    while row < rows and column < columns:
        cost = pairing(row, column)
        if cost is not None and costs[row][column] == costs[row + 1][column + 1] + cost:
            found.append((row, column))
            row, column = row + 1, column + 1
        elif costs[row][column] == costs[row + 1][column] + _ALONE:
            found.append((row, None))
            row += 1
        else:
            found.append((None, column))
            column += 1
    return found + [(each, None) for each in range(row, rows)] + [(None, each) for each in range(column, columns)]


def _in_order(
    ours: Sequence[_T], theirs: Sequence[_T], equal: Callable[[_T, _T], bool], alike: Callable[[_T, _T], bool]
) -> list[Pair]:
    found: list[Pair] = []
    for each in range(max(len(ours), len(theirs))):
        mine, other = each if each < len(ours) else None, each if each < len(theirs) else None
        together = (
            mine is not None
            and other is not None
            and (equal(ours[mine], theirs[other]) or alike(ours[mine], theirs[other]))
        )
        found += [(mine, other)] if together or mine is None or other is None else [(mine, None), (None, other)]
    return found
