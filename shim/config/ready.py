"""The platforms that come with the package, and what a platform that extends one of them comes to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from shim.errors import UsageError

_FOLDER = Path(__file__).parents[1] / "platforms"


def names() -> tuple[str, ...]:
    """All of them."""
    return tuple(sorted(each.stem for each in _FOLDER.glob("*.toml")))


def text(name: str) -> str:
    """One as it is in its file."""
    return (_FOLDER / f"{name}.toml").read_text("utf-8")


def extended(data: dict[str, Any], name: str) -> dict[str, Any]:
    """What *data* of platform *name* comes to: its own keys, in place of those that it *extends* or beside them.

    `false` takes away what is there below, unless that is true or false.

    Raises:
        UsageError: there is no such platform.
    """
    base = data.pop("extends", None)
    if base is None:
        return data
    if base == name or base not in names():
        raise UsageError(f"platform {name}: extends: there is no ready platform {base!r}")
    return _merged(extended(tomllib.loads(text(base)), base), data)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {key: _merged(below[key], above[key]) for key in above if _are_tables(below.get(key), above[key])}
    gone = {key for key in above if above[key] is False and not isinstance(below.get(key, False), bool)}
    return {key: each for key, each in {**below, **above, **both}.items() if key not in gone}


def _are_tables(*values: object) -> bool:
    return all(isinstance(each, dict) for each in values)
