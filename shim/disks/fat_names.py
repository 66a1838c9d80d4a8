"""Directory entries of FAT: short names, and the entries that hold long ones."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from efi_services.fat import LONG_NAME, short_checksum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from efi_services.ports import FileNode

#: Characters of a long name in one entry.
_STEP = 13
_SHORT = re.compile(r"[A-Z0-9!#$%&'()@^_`{}~-]{1,8}(\.[A-Z0-9!#$%&'()@^_`{}~-]{1,3})?")
_NOT_SHORT = re.compile(r"[^A-Z0-9!#$%&'()@^_`{}~-]")
#: 1 January 1980, which is what all files say: when one was changed is nothing that a run may depend on.
_DATE = 1 << 5 | 1


def short_names(children: Iterable[FileNode]) -> list[bytes]:
    """A short name for each of a directory's children, 11 bytes, all different."""
    listed = list(children)
    taken = {_packed(each.name) for each in listed if _SHORT.fullmatch(each.name)}
    counts: dict[tuple[str, str], int] = {}
    return [_packed(each.name) if _SHORT.fullmatch(each.name) else _made(each.name, taken, counts) for each in listed]


def entries_of(name: str, short: bytes) -> int:
    """How many entries of a directory a name takes."""
    return 1 if _packed(name) == short else 1 + -(-_units(name) // _STEP)


def entry_of(short: bytes, attributes: int, cluster: int, size: int, name: str = "") -> bytes:
    """A directory entry, behind those that hold *name* where the short one can't tell it."""
    own = struct.pack(
        "<11sBBBHHHHHHHI", short, attributes, 0, 0, 0, _DATE, _DATE, cluster >> 16, 0, _DATE, cluster & 0xFFFF, size
    )
    if not name or _packed(name) == short:
        return own
    count, checksum = -(-_units(name) // _STEP), short_checksum(short)
    text = name.encode("utf-16-le")
    if len(text) < count * 2 * _STEP:
        text = (text + b"\0\0").ljust(count * 2 * _STEP, b"\xff")
    parts = []
    for number in range(count, 0, -1):
        piece = text[(number - 1) * 2 * _STEP : number * 2 * _STEP]
        order = number | (0x40 if number == count else 0)
        parts.append(
            struct.pack("<B10sBBB12sH4s", order, piece[:10], LONG_NAME, 0, checksum, piece[10:22], 0, piece[22:])
        )
    return b"".join(parts) + own


def _units(name: str) -> int:
    return len(name.encode("utf-16-le")) // 2


def _packed(name: str) -> bytes:
    base, _, extension = name.partition(".")
    return (base.ljust(8) + extension.ljust(3)).encode("ascii", "replace")


def _made(name: str, taken: set[bytes], counts: dict[tuple[str, str], int]) -> bytes:
    """The usual: the first characters, a tilde, and the first number that is free."""
    base, _, extension = name.upper().lstrip(".").rpartition(".")
    if not base:
        base, extension = extension, ""
    base, extension = _NOT_SHORT.sub("", base)[:6] or "_", _NOT_SHORT.sub("", extension)[:3]
    while True:
        number = counts[base, extension] = counts.get((base, extension), 0) + 1
        tail = f"~{number}"
        short = _packed(f"{base[: 8 - len(tail)]}{tail}.{extension}" if extension else f"{base[: 8 - len(tail)]}{tail}")
        if short not in taken:
            taken.add(short)
            return short
