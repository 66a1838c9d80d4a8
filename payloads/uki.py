"""Unified kernel images: a stub, a kernel and what belongs to it, as sections of one PE file (UAPI.5).

The image may hold several *profiles*. Sections before the first ``.profile`` are common to all; each ``.profile``
begins one, which lasts to the next. Of two sections of a name the first counts, and one of the profile before a common
one. The order is that of the section table, whatever the addresses are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payloads.pe import section_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payloads.model import PeImage, Section

#: What the stub looks for, in the order in which it measures them.
SECTIONS = (
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrsig", ".pcrpkey",
    ".profile", ".dtbauto", ".hwids", ".efifw",
)  # fmt: skip
_MAX_TEXT_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Profile:
    """What a machine that boots one profile gets: its number, its name and title, and the sections that count."""

    number: int
    id: str | None
    title: str | None
    sections: tuple[Section, ...]


def profiles(data: bytes, image: PeImage) -> tuple[Profile, ...]:
    """The profiles of an image in their order; an image without any is one profile, number 0 and without a name."""
    unified = [each for each in sorted(image.sections, key=lambda each: each.number) if each.name in SECTIONS]
    starts = [at for at, each in enumerate(unified) if each.name == ".profile"] or [len(unified)]
    common = unified[: starts[0]]
    found = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(unified)], strict=True)):
        counted: dict[str, Section] = {}
        for section in (*unified[start:end], *common):
            counted.setdefault(section.name, section)
        about = _fields(text(data, counted[".profile"])) if ".profile" in counted else {}
        ordered = sorted(counted.values(), key=lambda each: SECTIONS.index(each.name))
        found.append(Profile(number, about.get("ID"), about.get("TITLE"), tuple(ordered)))
    return tuple(found)


def contents(data: bytes, image: PeImage) -> Iterator[tuple[str, bytes]]:
    """What of an image a stub measures or uses, by the names of the sections, in the order of the table."""
    profile = -1
    for section in sorted(image.sections, key=lambda each: each.number):
        if section.name not in SECTIONS:
            continue
        profile += section.name == ".profile"
        where = f" of profile {profile}" if profile >= 0 else ""
        # In memory a section ends with zeroes where the file has fewer bytes, and that is what the stub measures.
        yield section.name + where, section_bytes(data, section).ljust(section.virtual_size, b"\0")


def text(data: bytes, section: Section) -> str:
    """A section that holds text; what is too much of it is left out, what is no UTF-8 replaced."""
    raw = section_bytes(data, section)[:_MAX_TEXT_BYTES]
    return raw.rstrip(b"\0").decode("utf-8", "replace").strip()


def _fields(lines: str) -> dict[str, str]:
    """Lines of NAME=VALUE, as in os-release; the value may be in quotation marks."""
    pairs = (line.split("=", 1) for line in lines.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}
