"""What ``tpm2_eventlog`` of tpm2-tools makes of a log."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from qemu import Failed

if TYPE_CHECKING:
    from pathlib import Path

TOOL = "tpm2_eventlog"
_BANK = re.compile(r"^  (\w+):$")
_REGISTER = re.compile(r"^    (\d+) *: 0x([0-9a-f]+)$")


def replay(log: Path) -> dict[int, dict[Algorithm, bytes]]:
    """The registers that it says a log comes to; raises Failed where it refuses the log."""
    done = subprocess.run([TOOL, str(log)], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Failed(f"{TOOL} refuses {log.name}: {done.stderr.strip()!a}")
    return registers(done.stdout)


def registers(text: str) -> dict[int, dict[Algorithm, bytes]]:
    """The registers at the end of its YAML, by bank."""
    found: dict[int, dict[Algorithm, bytes]] = {}
    banks = {each.label: each for each in Algorithm}
    bank: Algorithm | None = None
    for line in text.partition("\npcrs:\n")[2].splitlines():
        if match := _BANK.match(line):
            bank = banks.get(match[1])
        elif (match := _REGISTER.match(line)) and bank is not None:
            found.setdefault(int(match[1]), {})[bank] = bytes.fromhex(match[2])
    return found
