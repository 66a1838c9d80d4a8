"""The judges: other people's programs and libraries that measurements are held against, and which of them had a say.

A test that asks one says so (`heard`); the session tells at its end which were asked, in which version, and fails in CI
where one was not: a judge that is silently left out approves of everything.
"""

from __future__ import annotations

import re
import subprocess

#: All there are, and what each says something about.
JUDGES = {
    "swtpm": "extends, dynamic launches, quotes, policies",
    "tpm2_eventlog": "tcg2 and ccel, and the registers that they come to",
    "tpm2_checkquote": "quotes",
    "tpm2_policypcr": "policy",
    "systemd-pcrlock": "tcg2, systemd, cel-json, pcrlock",
}

_heard: dict[str, str] = {}


def heard(name: str, version: str) -> None:
    """A judge was asked; the others' names are mistakes."""
    assert name in JUDGES, f"{name} is no judge: name it in JUDGES"
    _heard[name] = version


def heard_tool(name: str) -> None:
    """A tool of the machine is asked, if it is a judge."""
    if name in JUDGES and name not in _heard:
        said = subprocess.run([name, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
        found = re.search(r"\d+(\.\d+)+", said)
        heard(name, found[0] if found else "of unknown version")


def so_far() -> dict[str, str]:
    """The versions of those that were asked in this process."""
    return dict(_heard)
