"""The payloads that have names: distribution kernels (``catalogue.toml``) and the project's own programs."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypedDict

from payloads.errors import UnknownName

_PREFERRED_MACHINE = "x86_64"
_HERE = Path(__file__).parent
_BUILT_PROGRAMS = _HERE / "programs" / "built"
_PROGRAM_PREFIX = "program:"


@dataclass(frozen=True, slots=True)
class Entry:
    """A program inside a distribution's package.

    Attributes:
        name: what people call it: ``debian:trixie/cloud-amd64``.
        distribution: ``debian``.
        suite: release of the distribution.
        architecture: as Debian writes it: ``amd64``, ``arm64``, ``armhf``, ``i386``, ``riscv64``, ``loong64``.
        package: regular expression that the whole package name matches; the newest match is taken.
        path: where the program lies inside the package; ``*`` and ``[xz]`` as in the shell.
        description: one line for people.
    """

    name: str
    distribution: str
    suite: str
    architecture: str
    package: str
    path: str
    description: str


class _Suite(TypedDict):
    description: str
    package: str
    path: str
    flavours: list[str]


class _Flavour(TypedDict):
    architecture: str
    description: str


class _Catalogue(TypedDict):
    suites: dict[str, _Suite]
    flavours: dict[str, _Flavour]


@cache
def entries() -> tuple[Entry, ...]:
    """All programs of the catalogue, in the order of the file."""
    catalogue: _Catalogue = tomllib.loads((_HERE / "catalogue.toml").read_text("utf-8"))  # type: ignore[assignment]
    return tuple(
        Entry(
            name=f"debian:{name}/{flavour}",
            distribution="debian",
            suite=name,
            architecture=catalogue["flavours"][flavour]["architecture"],
            package=suite["package"].format(flavour=re.escape(flavour)),
            path=suite["path"],
            description=f"{catalogue['flavours'][flavour]['description']} ({suite['description']})",
        )
        for name, suite in catalogue["suites"].items()
        for flavour in suite["flavours"]
    )


def find(name: str) -> Entry:
    """The catalogue's entry of that name.

    Raises:
        UnknownName: there is none; the message lists close matches.
    """
    for entry in entries():
        if entry.name == name:
            return entry
    raise _unknown(name)


def is_name(text: str) -> bool:
    """Whether a word on the command line is meant as a name of the catalogue and not as a path."""
    return text.startswith(("debian:", _PROGRAM_PREFIX))


def programs() -> tuple[str, ...]:
    """Names of the project's own programs that are built: ``program:<stem>-<machine>``, sorted."""
    return tuple(sorted(_PROGRAM_PREFIX + file.stem for file in _BUILT_PROGRAMS.glob("*.efi")))


def program(name: str) -> Path:
    """The file of one of the project's own programs.

    Args:
        name: ``program:<stem>-<machine>``; ``program:<stem>`` means the one for x86_64, or the only one there is.

    Raises:
        UnknownName: there is none; the message lists close matches.
    """
    built = programs()
    of_stem = [each for each in built if each.rpartition("-")[0] == name]
    preferred = f"{name}-{_PREFERRED_MACHINE}"
    if name in built:
        chosen = name
    elif preferred in built:
        chosen = preferred
    elif len(of_stem) == 1:
        chosen = of_stem[0]
    else:
        raise _unknown(name)
    return _BUILT_PROGRAMS / f"{chosen.removeprefix(_PROGRAM_PREFIX)}.efi"


def _unknown(name: str) -> UnknownName:
    known = [*(entry.name for entry in entries()), *programs()]
    close = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else "`efi-shim payloads` lists all names"
    return UnknownName(f"no payload is called {name}: {hint}")
