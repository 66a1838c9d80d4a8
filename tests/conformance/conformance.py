"""Runs the self-test on our firmware and on EDK II in QEMU, compares, and when all is explained writes the tables.

Exit status 1 where a check ends differently, or fails, without a written reason, or has a reason and does not differ;
12 where a package is missing. Needs qemu-system-x86, ovmf, ovmf-ia32, qemu-system-arm, qemu-efi-aarch64,
qemu-efi-arm and swtpm.

    PYTHONPATH=tests/fidelity python tests/conformance/conformance.py [--keep DIR] [MACHINE...]
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import booted
import emulated
from comparison import compare, reasons, unused
from lines import Broken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comparison import Difference

DOCS = Path(__file__).parents[2] / "docs"
_MISSING = 12


def _write(name: str, head: tuple[str, ...], rows: Iterable[Iterable[object]]) -> None:
    with (DOCS / name).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(head)
        table.writerows(rows)


def _tables(counts: list[tuple[object, ...]], differences: list[Difference]) -> None:
    _write("conformance-machines.csv", ("machine", "firmware", "checks", "the same", "different"), counts)
    about: dict[tuple[str, str, str], list[Difference]] = {}
    for each in differences:
        about.setdefault((each.check, each.ours, each.theirs), []).append(each)
    rows = []
    for (check, ours, theirs), found in about.items():
        reason = found[0].reason
        assert reason is not None
        machines = " ".join(each.machine for each in found)
        rows.append((check, machines, ours, theirs, reason.wrong, reason.section, reason.why))
    _write(
        "conformance-differences.csv", ("check", "machines", "ours", "theirs", "who is wrong", "section", "why"), rows
    )


def main() -> int:
    """Compare all, tell what has no reason, or else write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machines", nargs="*", metavar="MACHINE", help=f"{', '.join(booted.BOARDS)}; all without")
    parser.add_argument("--keep", type=Path, help="keep the runs, the boots and their consoles in this folder")
    options = parser.parse_args()
    machines = options.machines or list(booted.BOARDS)
    if unknown := set(machines) - booted.BOARDS.keys():
        parser.error(f"no machine here: {', '.join(sorted(unknown))}")
    if packages := " ".join(filter(None, (booted.missing(booted.BOARDS[each]) for each in machines))):
        print(f"install the packages {packages}", file=sys.stderr)
        return _MISSING
    known, counts, differences = reasons(), [], []
    with nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as kept:
        for machine in machines:
            folder = Path(kept).absolute() / machine
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            try:
                ours, theirs = emulated.of_ours(machine, folder / "ours"), booted.of_theirs(machine, folder / "theirs")
            except Broken as why:
                print(f"{machine}: {why}", file=sys.stderr)
                return 1
            found = compare(machine, ours, theirs, known)
            number = len(ours | theirs)
            counts.append((machine, booted.version(booted.BOARDS[machine]), number, number - len(found), len(found)))
            differences += found
            print(f"{machine}: {number} checks, {len(found)} end differently", flush=True)
    wrong = [
        f"{each.machine}: {each.check}: ours {each.ours}, theirs {each.theirs}: no reason is written"
        for each in differences
        if each.reason is None
    ]
    wrong += [f"{each}: there is a reason, and no difference" for each in unused(known, differences, machines)]
    for line in wrong:
        print(line, file=sys.stderr)
    if not options.machines and not wrong:
        _tables(counts, differences)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
