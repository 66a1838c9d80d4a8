"""The payloads that have names: distribution kernels (``catalogue.toml``) and the project's own programs."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NotRequired, TypedDict

from payloads.errors import UnknownName

_PREFERRED_MACHINE = "x86_64"
_HERE = Path(__file__).parent
_BUILT_PROGRAMS = _HERE / "programs" / "built"
_PROGRAM_PREFIX = "program:"


@dataclass(frozen=True, slots=True)
class Entry:
    """A program inside a distribution's package.

    Attributes:
        name: what people call it: ``debian:trixie/cloud-amd64``, or ``debian:trixie/cloud-amd64@6.12.94``.
        distribution: ``debian``.
        suite: release of the distribution.
        architecture: as Debian writes it: ``amd64``, ``arm64``, ``armhf``, ``i386``, ``riscv64``, ``loong64``.
        package: regular expression that the whole package name matches; the newest match is taken. Its group
            ``version`` is what stands behind an ``@`` in a name.
        paths: where the program may lie inside the package; ``*`` and ``[xz]`` as in the shell.
        description: one line for people.
        kernel: whether it is a Linux kernel and no other program.
    """

    name: str
    distribution: str
    suite: str
    architecture: str
    package: str
    paths: tuple[str, ...]
    description: str
    kernel: bool = True

    def of_version(self, version: str) -> Entry:
        """The same program in one version: ``6.12`` is the newest 6.12.x, ``6.12.94`` and ``6.12.94+deb13`` are one."""
        begins = f"(?P<version>(?={re.escape(version)}(?![0-9A-Za-z]))"
        return replace(self, name=f"{self.name}@{version}", package=self.package.replace("(?P<version>", begins))


class _Suite(TypedDict):
    description: str
    package: str
    paths: list[str]
    flavours: list[str]


class _Flavour(TypedDict):
    architecture: str
    description: str


class _Program(TypedDict):
    description: str
    package: str
    path: str
    architectures: dict[str, list[str]]
    files: NotRequired[list[str]]


class _Catalogue(TypedDict):
    suites: dict[str, _Suite]
    flavours: dict[str, _Flavour]
    programs: dict[str, _Program]
    uefi_names: dict[str, str]


@cache
def entries() -> tuple[Entry, ...]:
    """All programs of the catalogue, in the order of the file."""
    catalogue: _Catalogue = tomllib.loads((_HERE / "catalogue.toml").read_text("utf-8"))  # type: ignore[assignment]
    kernels = (
        Entry(
            name=f"debian:{name}/{flavour}",
            distribution="debian",
            suite=name,
            architecture=catalogue["flavours"][flavour]["architecture"],
            package=suite["package"].format(flavour=re.escape(flavour)),
            paths=tuple(suite["paths"]),
            description=f"{catalogue['flavours'][flavour]['description']} ({suite['description']})",
        )
        for name, suite in catalogue["suites"].items()
        for flavour in suite["flavours"]
    )
    others = (
        _program(name, each, suite, architecture, file, catalogue)
        for name, each in catalogue["programs"].items()
        for suite, architectures in each["architectures"].items()
        for file in each.get("files", [""])
        for architecture in architectures
    )
    return (*kernels, *others)


def _program(name: str, told: _Program, suite: str, architecture: str, file: str, catalogue: _Catalogue) -> Entry:
    """One of the programs that are no kernels; *file* is which of those that its package has."""
    words = {"architecture": architecture, "uefi": catalogue["uefi_names"][architecture], "file": file}
    what = f"{told['description']} ({file})" if file else told["description"]
    return Entry(
        name=f"debian:{suite}/{'-'.join(filter(None, (name, file, architecture)))}",
        distribution="debian",
        suite=suite,
        architecture=architecture,
        package=told["package"].format(**words),
        paths=(told["path"].format(**words),),
        description=f"{what}, {architecture} ({catalogue['suites'][suite]['description']})",
        kernel=False,
    )


def find(name: str) -> Entry:
    """The catalogue's entry of that name; ``@VERSION`` behind it narrows it to that version and those below it.

    Raises:
        UnknownName: there is none; the message lists close matches.
    """
    plain, at, version = name.partition("@")
    for entry in entries():
        if entry.name == plain and (version or not at) and (entry.kernel or not at):
            return entry.of_version(version) if version else entry
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
