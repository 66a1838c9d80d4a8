"""What tests of several packages need: the command, and real kernels."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import judges

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from debian_root import DebianRoot
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
        # A command sets it for its own process; here garbage is gigabytes of guests' memory.
        looks = gc.get_threshold()
        with pytest.raises(SystemExit) as ended:
            main()
        gc.set_threshold(*looks)
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
        judges.heard_tool(tool)

    return check


@pytest.fixture(scope="session")
def debian_root() -> DebianRoot:
    """Debian 13's systemd in a folder; where no mirror can be reached a skip, and in CI a failure."""
    from debian_root import get_root
    from payloads import MissingPart

    try:
        return get_root()
    except MissingPart as why:
        if os.environ.get("EFI_SHIM_REQUIRE_TOOLS") == "1":
            raise
        pytest.skip(str(why))


#: Judges that were heard in all processes; filled when a worker ends.
HEARD = pytest.StashKey[dict[str, set[str]]]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take what a worker of pytest-xdist leaves behind."""
    _add(node.config, getattr(node, "workeroutput", {}).get("judges", {}))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI, fail where all tests ran and a judge was not heard."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["judges"] = judges.so_far()
        return
    _add(config, judges.so_far())
    if _silent(config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell which judges were heard, in which versions, and which were not."""
    heard = config.stash.get(HEARD, {})
    if heard:
        terminalreporter.section("judges of measurements")
        for name, about in judges.JUDGES.items():
            if name in heard:
                terminalreporter.line(f"{name} {', '.join(sorted(heard[name]))}: {about}")
    for name in _silent(config):
        terminalreporter.line(f"NOT HEARD: {name}: {judges.JUDGES[name]}", red=True)


def _add(config: pytest.Config, heard: dict[str, list[str]]) -> None:
    known = config.stash.setdefault(HEARD, {})
    for name, versions in heard.items():
        known.setdefault(name, set()).update(versions)


def _silent(config: pytest.Config) -> list[str]:
    """Judges that had to be heard and were not: only in CI, and only where nothing was deselected."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    chosen = config.option.keyword or config.option.markexpr or config.option.collectonly
    if os.environ.get("EFI_SHIM_REQUIRE_TOOLS") != "1" or not whole or chosen:
        return []
    return [name for name in judges.JUDGES if name not in config.stash.get(HEARD, {})]
