"""Fuzz targets: one small file each in `targets`, named after what it reads.

A target has three things:

    ERRORS          the documented errors; anything else that `target` lets out is a finding
    seeds()         a few inputs to begin with, by name, made by code
    target(data)    reads *data*, and asserts what has to hold then

and, where it wants other bounds than the usual ones, `MAX_LENGTH` (bytes of an input) and `SECONDS` (for one input).
"""

from __future__ import annotations

import atexit
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TARGETS = HERE / "targets"
MAX_LENGTH = 16384
SECONDS = 10


def names() -> list[str]:
    """All targets."""
    return sorted(path.stem for path in TARGETS.glob("*.py"))


def load(name: str) -> ModuleType:
    """A target's module."""
    # So that it can import what lies beside this file, and what tests make their inputs with.
    for folder in (HERE, ROOT / "tests" / "making"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    return _module(f"fuzz_{name}", TARGETS / f"{name}.py")


def borrow(path: str) -> ModuleType:
    """A module of the tests, for what it builds inputs with; *path* is within the tree."""
    return _module(f"borrowed_{path.replace('/', '_').removesuffix('.py')}", ROOT / path)


def _module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def scratch() -> Path:
    """A folder for a target whose reader wants files."""
    folder = tempfile.mkdtemp(prefix="fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def try_one(module: ModuleType, data: bytes) -> None:
    """Give *data* to the target: it reads it, or refuses it."""
    try:
        module.target(data)
    except module.ERRORS as refusal:
        assert str(refusal)  # noqa: PT017 - this is no test: a refusal says why
