"""Runs every kernel that the archive carries to its kernel entry, and writes docs/kernels.csv.

    python tests/survey/kernels.py [--jobs N] [--again] [NAME...]

Without names: all of ``efi-shim payloads --carried``, of the machines that can be run. A kernel that the table has is
not run again unless ``--again`` says so, so that a survey that was broken off goes on where it stopped. A kernel that
does not reach its entry is a row as well, and makes the survey fail.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from payloads import catalogue
from payloads.fetch import fetch
from running import run
from shim.config.places import cache_folder
from shim.machine.user import USER_MODES

COMMAND = str(Path(sys.executable).parent / "efi-shim")
TABLE = Path(__file__).parents[2] / "docs" / "kernels.csv"
#: Where there is one that measures.
PLATFORMS = {"amd64": "q35-tpm", "arm64": "virt-arm64-tpm"}
PAGES_OF_16K = str(Path(__file__).with_name("virt-arm64-16k-tpm.toml"))
COLUMNS = (
    "kernel",
    "package version",
    "architecture",
    "outcome",
    "seconds",
    "processor seconds",
    "calls",
    "accesses",
    "findings",
    "measurements",
    "privileged instructions",
    "memory MB",
)
NOT_RUN = {"loong64"}
_SECONDS = 600


def main() -> int:
    """Survey the kernels; 1 when one of them did not get to its entry."""
    words = argparse.ArgumentParser(description="run the archive's kernels and write docs/kernels.csv")
    words.add_argument("names", nargs="*", metavar="NAME")
    words.add_argument("--jobs", type=int, default=2)
    words.add_argument("--again", action="store_true", help="run those too that the table has")
    asked = words.parse_args()
    rows = _read()
    names = [name for name in asked.names or _carried() if asked.again or name not in rows]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for row in pool.map(_survey, names):
            rows[row["kernel"]] = row
            _write(rows)
            print(*row.values(), sep="  ", flush=True)
    return int(any(row["outcome"] != "kernel-entry" for row in rows.values()))


def _carried() -> list[str]:
    listed = subprocess.run([COMMAND, "payloads", "--carried"], stdout=subprocess.PIPE, text=True, check=False)
    return [name for name in listed.stdout.split() if catalogue.find(name).architecture not in NOT_RUN]


def _survey(name: str) -> dict[str, str]:
    """One kernel's row; what went wrong stands under outcome."""
    entry = catalogue.find(name)
    version = fetch(entry, cache=cache_folder()).version
    row = dict.fromkeys(COLUMNS, "") | {
        "kernel": name,
        "package version": version,
        "architecture": entry.architecture,
    }
    report, errors, processor = _run(entry, name, "--trace", "exact")
    if report is None:
        return row | {"outcome": errors}
    return row | {
        "outcome": report["outcome"]["kind"],
        "seconds": f"{report['timing']['wall_s']:.1f}",
        "processor seconds": f"{processor:.1f}",
        "calls": str(report["calls"]["count"]),
        "accesses": str(report["accesses"]["count"]),
        "findings": str(len(report["findings"])),
        "measurements": str(len(report["measurements"])),
        "privileged instructions": _privileged(entry, name) if report["payload"]["machine"] in USER_MODES else "",
        "memory MB": f"{report['memory']['allocated_peak_bytes'] / 1e6:.0f}",
    }


def _privileged(entry: catalogue.Entry, name: str) -> str:
    """How many privileged instructions a kernel performs up to its entry, or what went wrong."""
    report, errors, _ = _run(entry, name, "--trace", "calls", "--unprivileged")
    if report is None:
        return errors
    reached = report["outcome"]["kind"] == "kernel-entry"
    return str(report["privileged"]["count"]) if reached else report["outcome"]["detail"]


def _run(entry: catalogue.Entry, name: str, *options: str) -> tuple[dict[str, Any] | None, str, float]:
    """What run.json says, or None; what was said of errors; and the processor time of the whole command, in seconds."""
    platform = PAGES_OF_16K if entry.name.partition("@")[0].endswith("-16k") else PLATFORMS.get(entry.architecture)
    command = [COMMAND, "run", name, "--json", "--quiet", "--max-seconds", str(_SECONDS), *options]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--out", f"{folder}/run", *(("--platform", platform) if platform else ())]
        return run(command)


def _read() -> dict[str, dict[str, str]]:
    if not TABLE.exists():
        return {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {row["kernel"]: row for row in csv.DictReader(file)}


def _write(rows: dict[str, dict[str, str]]) -> None:
    """The whole table, in the catalogue's order."""
    order = {entry.name: place for place, entry in enumerate(catalogue.entries())}
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(sorted(rows.values(), key=lambda row: order[row["kernel"].partition("@")[0]]))


if __name__ == "__main__":
    sys.exit(main())
