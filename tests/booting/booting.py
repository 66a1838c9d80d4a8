"""Boots kernels from their hand-offs in QEMU, compares what they find, and writes docs/booted.csv.

With NAMEs, the other rows of the file stay. Exit status 1 where something differs, 12 where a tool is missing. Needs
qemu-system-x86, qemu-system-arm, qemu-system-misc, opensbi and swtpm; a kernel takes half a minute.

    python tests/booting/booting.py [-o FILE] [NAME ...]
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
import time
from pathlib import Path

import guests
from payloads.errors import PayloadError
from qemu import Failed
from shim.boot.machines import BOARDS

#: Kernels of each suite and machine, and platforms where they are not the ready ones of their machines.
CASES = (
    *((f"debian:{suite}/cloud-amd64", None) for suite in ("bookworm", "trixie", "trixie-backports", "sid")),
    ("debian:trixie/cloud-amd64", guests.WITH_ACPI),
    ("debian:trixie/cloud-amd64", guests.WITH_TPM),
    *((f"debian:{suite}/cloud-arm64", None) for suite in ("bookworm", "trixie", "trixie-backports", "sid")),
    ("debian:trixie/cloud-arm64", "virt-arm64-el2"),
    # Bookworm has none.
    *((f"debian:{suite}/riscv64", None) for suite in ("trixie", "trixie-backports", "sid")),
)
#: By kernel and platform.
Rows = dict[tuple[str, str | None], tuple[str, ...]]
DOCS = Path(__file__).parents[2] / "docs"
_MISSING = 12


def main() -> int:
    """Boot all, and write what was compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="kernels of the catalogue; all without")
    parser.add_argument("-o", dest="output", type=Path, default=DOCS / "booted.csv")
    options = parser.parse_args()
    missing = [each for each in (*(board.program for board in BOARDS.values()), "swtpm") if shutil.which(each) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return _MISSING
    # Those of kernels that are not asked for stay as they are.
    rows, fine = _written(options.output), True
    for name, platform in CASES:
        if options.names and name not in options.names:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = list(guests.boot(name, Path(folder), platform))
            except (Failed, PayloadError) as why:
                print(f"{name}: {why}", file=sys.stderr)
                return 1
        wrong = [each for each in found if not each.equal]
        for each in wrong:
            print(f"  {each.what}: the run says {each.run!r:.300}, the guest {each.guest!r:.300}")
        fine = fine and not wrong
        equal = "; ".join(each.what for each in found if each.equal)
        differs = "; ".join(each.what for each in wrong) or "nothing"
        rows[name, platform] = (name, platform or "", equal, differs)
        _write(options.output, rows)
        print(f"{name} {platform or ''}: {len(found) - len(wrong)} of {len(found)}, {time.monotonic() - began:.0f} s")
    return 0 if fine else 1


def _written(path: Path) -> Rows:
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        _, *rows = csv.reader(file)
    return {(row[0], row[1] or None): tuple(row) for row in rows}


def _write(path: Path, rows: Rows) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("kernel", "platform", "equal", "differs"))
        writer.writerows(rows[each] for each in CASES if each in rows)


if __name__ == "__main__":
    sys.exit(main())
