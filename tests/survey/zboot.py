"""Builds EFI zboot images with Linux's own unpacker, runs each to the kernel within, and writes docs/zboot*.csv.

    PYTHONPATH=tests/fidelity:tests/booting python tests/survey/zboot.py [--again] [SUITE...]

An image that the table has for the kernel's version is not run again unless ``--again`` says so. One that does not
come to the hand-off that it should is a row as well, and makes the survey fail. Exit status 12 where a tool is missing.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import shutil
import struct
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

import guests
from payloads.errors import PayloadError
from qemu import Failed
from running import run
from zboot_images import ALL_FORMS, LATER_FORMS, BuildError, Built, build, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = str(Path(sys.executable).parent / "efi-shim")
TABLE = Path(__file__).parents[2] / "docs" / "zboot.csv"
DAMAGED = TABLE.with_name("zboot-damaged.csv")
COLUMNS = (
    "kernel",
    "package version",
    "source version",
    "architecture",
    "compression",
    "MB",
    "outcome",
    "entered from",
    "hand-off",
    "calls",
    "accesses",
    "seconds",
    "processor seconds",
    "seconds, calls only",
    "processor seconds, calls only",
    "goes on in QEMU",
)
#: Kernels of each suite, and what its source packs them with.
SUITES = {
    "bookworm": (("cloud-arm64",), ALL_FORMS),
    "trixie": (("cloud-arm64", "riscv64"), LATER_FORMS),
    "trixie-backports": (("cloud-arm64",), LATER_FORMS),
    "sid": (("riscv64",), LATER_FORMS),
}
#: Of which suites' images some are damaged: one that is loaded and started, and one that is jumped into.
TO_DAMAGE = {("debian:bookworm/cloud-arm64", "gzip"), ("debian:trixie/cloud-arm64", "zstd")}
DAMAGED_COLUMNS = ("kernel", "package version", "compression", "changed", "outcome", "says")
#: With a TPM where there is a platform that has one; and the order of the table.
PLATFORMS = {"aarch64": "virt-arm64-tpm", "riscv64": "virt-riscv64"}
CMDLINE = "console=ttyAMA0 quiet"
INITRD = hashlib.shake_128(b"initrd").digest(1_000_000)
_EMULATORS = ("qemu-system-aarch64", "qemu-system-riscv64")
_SECONDS = 1200
_MISSING = 12


def main() -> int:
    """Build and run all; 1 when one of them did not get to the kernel within as it should."""
    words = argparse.ArgumentParser(description="run Linux's zboot images and write docs/zboot.csv")
    words.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; all without")
    words.add_argument("--again", action="store_true", help="run those too that the table has")
    asked = words.parse_args()
    if absent := [*missing(), *(each for each in _EMULATORS if shutil.which(each) is None)]:
        print(f"not installed: {', '.join(absent)}", file=sys.stderr)
        return _MISSING
    for suite in asked.suites or SUITES:
        flavours, forms = SUITES[suite]
        try:
            for built in build(suite, flavours, forms):
                key = built.kernel, built.form
                row = _read().get(key, {})
                if asked.again or row.get("package version") != built.version:
                    row = _survey(built)
                if row["outcome"] == "kernel-entry" and not row["goes on in QEMU"]:
                    row["goes on in QEMU"] = _go_on(built)
                _write(_read() | {key: row})
                print(*row.values(), sep="  ", flush=True)
                known = [row["package version"] for row in _read_rows(DAMAGED) if row["kernel"] == built.kernel]
                if key in TO_DAMAGE and (asked.again or built.version not in known):
                    _damage(built)
        except (BuildError, PayloadError) as why:
            print(f"{suite}: {why}", file=sys.stderr)
            return 1
    fine = ("kernel-entry", "ok", "to user space")
    wrong = any((row["outcome"], row["hand-off"], row["goes on in QEMU"]) != fine for row in _read().values())
    return int(wrong or any(not row["says"] for row in _read_rows(DAMAGED)))


def _survey(built: Built) -> dict[str, str]:
    """One image's row; what went wrong stands under outcome."""
    row = dict.fromkeys(COLUMNS, "") | {
        "kernel": built.kernel,
        "package version": built.version,
        "source version": built.source,
        "compression": built.form,
        "MB": f"{built.path.stat().st_size / 1e6:.1f}",
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "initrd").write_bytes(INITRD)
        report, errors, processor = run(_command(built, Path(folder), "exact"))
        if report is None:
            return row | {"outcome": errors}
        row |= {
            "architecture": report["payload"]["machine"],
            "outcome": report["outcome"]["kind"],
            "calls": str(report["calls"]["count"]),
            "accesses": str(report["accesses"]["count"]),
            "seconds": f"{report['timing']['wall_s']:.1f}",
            "processor seconds": f"{processor:.1f}",
        }
        if report["outcome"]["kind"] != "kernel-entry":
            return row
        plain, errors, plain_processor = run(_command(built, Path(folder), "calls"))
        if plain is None:
            return row | {"outcome": errors}
        row |= {
            "seconds, calls only": f"{plain['timing']['wall_s']:.1f}",
            "processor seconds, calls only": f"{plain_processor:.1f}",
        }
        wrong = list(_wrong(report, Path(folder, "exact")))
        if plain["memory"]["digest"] != report["memory"]["digest"]:
            wrong.append("ends in other memory with calls only")
        state = json.loads(Path(folder, "exact/handoff/state.json").read_text())
        return row | {"entered from": state["entered_from_image"], "hand-off": "; ".join(wrong) or "ok"}


def _go_on(built: Built) -> str:
    """What a kernel finds in QEMU that is not as its run says."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = list(guests.boot(built.kernel, Path(folder), file=built.path))
        except Failed as why:
            return str(why)
        return ", ".join(each.what for each in found if not each.equal) or "to user space"


def _command(built: Built, folder: Path, level: str) -> list[str]:
    machine = "riscv64" if built.kernel.endswith("riscv64") else "aarch64"
    command = [COMMAND, "run", str(built.path), "--json", "--quiet", "--max-seconds", str(_SECONDS), "--trace", level]
    command += ["--platform", PLATFORMS[machine], "--cmdline", CMDLINE, "--initrd", f"{folder}/initrd"]
    return [*command, "--out", f"{folder}/{level}"]


def _wrong(report: dict[str, Any], folder: Path) -> Iterator[str]:
    """What is not as it should be at the kernel's entry."""
    payload = report["payload"]
    if payload["kind"] != "linux-zboot":
        yield f"is taken for {payload['kind']}"
    if unimplemented := report["calls"]["unimplemented"]:
        yield f"calls {', '.join(unimplemented)}"
    verdicts = {each["rule"]: each for each in json.loads((folder / "handoff/verdicts.json").read_text())}
    for name, each in verdicts.items():
        # All others may be about what there is none of.
        if each["outcome"] == "failed" or (name == "kernel-bytes" and each["outcome"] != "ok"):
            yield f"{name}: {each['sentence']}"
    state = json.loads((folder / "handoff/state.json").read_text())
    if state["device_tree"]["chosen"].get("bootargs") != CMDLINE:
        yield "has another command line"
    if (state["initrd"] or {}).get("size") != len(INITRD):
        yield "has another initrd"
    # Up to 6.1 the kernel within is an image of its own, that the unpacker starts; later the unpacker jumps into it.
    read = "SELECT image, seq, parent FROM read_parquet(?) WHERE service = ?"
    started, left = (
        duckdb.execute(read, [f"{folder}/calls.parquet", each]).fetchall()
        for each in ("StartImage", "ExitBootServices")
    )
    within = started[0][1] if started else None
    if [(image, parent) for image, _, parent in left[-1:]] != [(state["entered_from_image"], within)]:
        yield f"does not leave boot services from {state['entered_from_image']}"
    if (state["entered_from_image"] == "payload") != (not started):
        yield f"is entered from {state['entered_from_image']}"


def _damage(built: Built) -> None:
    """Run an image with something changed, and write what comes of it."""
    whole = built.path.read_bytes()
    at, size = struct.unpack_from("<II", whole, 8)
    behind = at + size - 4 if built.form == "gzip" else at + size
    changes = (
        ("the header names another compression", 24, b"lz4\0"),
        ("the header's payload begins behind the file", 8, struct.pack("<I", len(whole))),
        ("the header's payload is longer than the file", 12, struct.pack("<I", len(whole))),
        ("the size that is unpacked is told as 0xfffffff0", behind, struct.pack("<I", 0xFFFF_FFF0)),
        ("the size that is unpacked is told as 0x1000", behind, struct.pack("<I", 0x1000)),
        ("a byte in the middle of what is packed", at + size // 2, bytes([whole[at + size // 2] ^ 0x55])),
    )
    found = [_damaged(built, whole[:place] + new + whole[place + len(new) :], what) for what, place, new in changes]
    others = [row for row in _read_rows(DAMAGED) if row["kernel"] != built.kernel]
    _write_rows(DAMAGED, DAMAGED_COLUMNS, sorted([*others, *found], key=lambda row: row["kernel"]))


def _damaged(built: Built, file: bytes, what: str) -> dict[str, str]:
    """A row; it says nothing where the kernel was handed over as if nothing were wrong."""
    row = {
        "kernel": built.kernel,
        "package version": built.version,
        "compression": built.form,
        "changed": what,
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "initrd").write_bytes(INITRD)
        path = Path(folder, "damaged.efi")
        path.write_bytes(file)
        report, errors, _ = run(_command(replace(built, path=path), Path(folder), "calls"))
        if report is None:
            return row | {"outcome": "refused", "says": errors.splitlines()[-1].strip().removeprefix("efi-shim: ")}
        outcome = report["outcome"]
        said = outcome["status"] or outcome["detail"]
        if outcome["kind"] == "kernel-entry":
            said = "; ".join(_wrong(report, Path(folder, "calls")))
        return row | {"outcome": outcome["kind"], "says": said}


def _read() -> dict[tuple[str, str], dict[str, str]]:
    return {(row["kernel"], row["compression"]): row for row in _read_rows(TABLE)}


def _write(rows: dict[tuple[str, str], dict[str, str]]) -> None:
    """The whole table, in the order of the suites."""
    order = [
        (f"debian:{suite}/{flavour}", form)
        for suite, (flavours, forms) in SUITES.items()
        for flavour in flavours
        for form in forms
    ]
    _write_rows(TABLE, COLUMNS, [rows[key] for key in order if key in rows])


def _read_rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write_rows(table: Path, columns: tuple[str, ...], rows: list[dict[str, str]]) -> None:
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
