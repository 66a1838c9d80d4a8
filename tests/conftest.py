"""What tests of several packages need: the command, and real kernels."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from payloads import Payload


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs ``efi-shim`` with arguments, in this process and in an empty folder."""
    from shim.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["efi-shim", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        code = ended.value.code
        return Done(int(code) if code is not None else 0, out, err)

    return run


@pytest.fixture(scope="session")
def kernel() -> Callable[[str], Payload]:
    """Gives a catalogue's payload, fetched once and kept in the user's cache.

    Where no mirror can be reached the test is skipped, unless EFI_SHIM_REQUIRE_KERNELS is 1, as in CI.
    """
    from payloads import MissingPart
    from shim.cli.places import find_payload

    def get(name: str) -> Payload:
        try:
            return find_payload(name, lambda _line: None)
        except MissingPart as why:
            if os.environ.get("EFI_SHIM_REQUIRE_KERNELS") == "1":
                raise
            pytest.skip(str(why))

    return get


@pytest.fixture(scope="session")
def need() -> Callable[[str], None]:
    """Skips where a tool is not installed; in CI (EFI_SHIM_REQUIRE_TOOLS=1) that is a failure."""

    def check(tool: str) -> None:
        if shutil.which(tool) is None:
            if os.environ.get("EFI_SHIM_REQUIRE_TOOLS") == "1":
                pytest.fail(f"{tool} is not installed")
            pytest.skip(f"{tool} is not installed")

    return check
