"""Runs kernels with and without privileges, compares, and writes docs/unprivileged.csv.

    python tests/survey/unprivileged.py [NAME...]

A kernel whose hand-off differs makes it fail.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = str(Path(sys.executable).parent / "efi-shim")
TABLE = Path(__file__).parents[2] / "docs" / "unprivileged.csv"
COLUMNS = ("kernel", "version", "privileged instructions", "the same hand-off")
NAMES = (
    "debian:bookworm/amd64",
    *(f"debian:{suite}/cloud-amd64" for suite in ("bookworm", "trixie", "sid")),
    *(f"debian:{suite}/cloud-arm64" for suite in ("bookworm", "trixie", "sid")),
    *(f"debian:{suite}/riscv64" for suite in ("trixie", "sid")),
)


def main() -> int:
    """Survey the kernels; 1 when a hand-off differs."""
    rows = [_survey(name) for name in sys.argv[1:] or NAMES]
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    return int(any(row[COLUMNS[-1]] != "yes" for row in rows))


def _survey(name: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        plain, user = (_run(name, f"{folder}/run{len(options)}", *options) for options in ([], ["--unprivileged"]))
    counts = user[0]["privileged"]["by_name"]
    row = (
        name,
        user[0]["payload"]["version"],
        ", ".join(f"{count:,}× {kind}" for kind, count in counts.items()) or "none",
        "yes" if _same(*plain) == _same(*user) else "no",
    )
    print(*row, sep="  ", flush=True)
    return dict(zip(COLUMNS, row, strict=True))


def _run(name: str, folder: str, *options: str) -> tuple[dict, dict]:
    command = [COMMAND, "run", name, "--trace", "calls", "--quiet", "--out", folder, *options]
    subprocess.run(command, check=True)
    return tuple(json.loads(Path(folder, each).read_text()) for each in ("run.json", "handoff/state.json"))


def _same(run: dict, state: dict) -> object:
    """What has to be the same: all but where the last block began."""
    parts = [run[each] for each in ("outcome", "memory", "calls", "findings", "measurements", "console")]
    return [*parts, *({**each, "entered_from": None} for each in (run["handoff"], state))]


if __name__ == "__main__":
    sys.exit(main())
