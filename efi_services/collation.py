"""Comparing and folding text as English has it: the first 256 characters of Unicode (UEFI 2.10, section 12.10)."""

from __future__ import annotations

import re
from functools import lru_cache

#: A pattern longer than this matches nothing: that of a file has no more characters.
MAX_PATTERN = 1024

_LOWER = [each for each in range(256) if 0x61 <= each <= 0x7A or (0xE0 <= each <= 0xFE and each != 0xF7)]
_TO_UPPER = {each: each - 0x20 for each in _LOWER}
_TO_LOWER = {each - 0x20: each for each in _LOWER}
#: What a name on a FAT file system may have beside letters.
_FAT_VALID = frozenset({*map(ord, "0123456789\\._^$~!#%&-{}()@`'"), *_TO_UPPER, *_TO_LOWER})


def upper(text: str) -> str:
    """Capital letters for small ones."""
    return text.translate(_TO_UPPER)


def lower(text: str) -> str:
    """Small letters for capital ones."""
    return text.translate(_TO_LOWER)


def compare(first: str, second: str) -> int:
    """Negative, zero or positive: how *first* stands to *second*, whatever their case."""
    one, other = upper(first), upper(second)
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            return ord(mine) - ord(theirs)
    return len(one) - len(other)


def matches(text: str, pattern: str) -> bool:
    """Whether *pattern* with ``*``, ``?`` and sets such as ``[a-c]`` describes *text*, whatever the case."""
    if len(pattern) > MAX_PATTERN:
        return False
    whole = upper(text)
    first, *others = _pieces(upper(pattern))
    begins = first.match(whole)
    if begins is None:
        return False
    if not others:
        return begins.end() == len(whole)
    at, last = begins.end(), others.pop()
    # Each piece where it comes first: that leaves the most for those behind it.
    for piece in others:
        found = piece.search(whole, at)
        if found is None:
            return False
        at = found.end()
    return re.compile(f"(?:{last.pattern})\\Z", re.DOTALL).search(whole, at) is not None


@lru_cache(maxsize=64)
def _pieces(pattern: str) -> list[re.Pattern[str]]:
    """What stands between the asterisks."""
    pieces, at = [""], 0
    while at < len(pattern):
        character, at = pattern[at], at + 1
        if character == "*":
            pieces.append("")
        elif character == "?":
            pieces[-1] += "."
        elif character == "[":
            # A set without an end goes to the pattern's.
            end = pattern.find("]", at)
            end = len(pattern) if end < 0 else end
            pieces[-1] += _set(pattern[at:end])
            at = end + 1
        else:
            pieces[-1] += re.escape(character)
    return [re.compile(each, re.DOTALL) for each in pieces]


def _set(members: str) -> str:
    """A set of characters and of ranges; an empty one matches nothing."""
    parts, at = [], 0
    while at < len(members):
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            first, last = members[at], members[at + 2]
            if first <= last:
                parts.append(f"{re.escape(first)}-{re.escape(last)}")
            at += 3
        else:
            parts.append(re.escape(members[at]))
            at += 1
    return f"[{''.join(parts)}]" if parts else "(?!)"


def to_fat(text: str, size: int) -> tuple[bytes, bool]:
    """A name's first *size* characters as FAT keeps them, dots and spaces left out, and whether any was replaced."""
    kept = [ord(each) for each in text if each not in ". "][:size]
    valid = [each in _FAT_VALID for each in kept]
    name = bytes(_TO_UPPER.get(each, each) if fits else ord("_") for each, fits in zip(kept, valid, strict=True))
    return name, not all(valid)
