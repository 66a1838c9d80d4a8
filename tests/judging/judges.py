"""The judges: other people's programs and libraries that measurements are held against, and which of them had a say.

A test that asks one says so (`heard`); the session tells at its end which were asked, in which version, and fails in CI
where one was not: a judge that is silently left out approves of everything.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from importlib import metadata

#: All there are, and what each says something about.
JUDGES = {
    "swtpm": "extends, dynamic launches, quotes, policies",
    "tpm2_eventlog": "tcg2 and ccel, and the registers that they come to",
    "tpm2_checkquote": "quotes",
    "tpm2_policypcr": "policy",
    "ukify": "PCR 11 of unified kernel images, with systemd-measure",
    "systemd-measure": "the same",
    "systemd-pcrlock": "tcg2, systemd, cel-json, pcrlock",
    "tss2_verifyquote": "cel-json, as the log behind a quote",
    "evmctl": "boot_aggregate, a measurement list",
    "pycddl": "corim",
    "virt-firmware": "Authenticode digests",
}

_heard: dict[str, set[str]] = {}


def heard(name: str, version: str) -> None:
    """A judge was asked; the others' names are mistakes."""
    assert name in JUDGES, f"{name} is no judge: name it in JUDGES"
    _heard.setdefault(name, set()).add(version)


@cache
def heard_tool(name: str) -> None:
    """A tool of the machine is asked, if it is a judge."""
    if name in JUDGES:
        said = subprocess.run([name, "--version"], capture_output=True, text=True, check=False, timeout=60).stdout
        found = re.search(r"\d+(\.\d+)+", said)
        heard(name, found[0] if found else "of unknown version")


def heard_package(name: str) -> None:
    """A Python distribution is asked."""
    heard(name, metadata.version(name))


def so_far() -> dict[str, list[str]]:
    """The versions of those that were asked in this process."""
    return {name: sorted(versions) for name, versions in _heard.items()}
