"""A folder for each measurement register, after the RFC "tsm: Add RTMR event logging" of 2024.

A register's log is text. Each line that is not empty and does not begin with # is hashed and extended; a comment
".EXTEND value" tells of a value that was extended as it is. Before the first line after such values the kernel writes
a line "SYNC algorithm/register", which ties the log to what the register held by then, and extends it like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.events import type_name
from efi_services.tcg.registers import MR_NAMES
from shim.errors import UsageError
from shim.measure.formats.common import any_of, register_key
from shim.measure.formats.fields import describe

if TYPE_CHECKING:
    from efi_services.tcg.algorithms import Algorithm
    from shim.measure.model import Measured, Measurements


def tree(measured: Measured, *, sync: bool = True) -> dict[str, bytes]:
    """The files by their paths.

    The boot's events are values that were extended as they are; the line SYNC behind them is extended too, so that
    the digest is the register's after it, as it is on a machine whose kernel has begun the log. Without *sync* the
    log ends before that line, and the digest is what the boot came to.
    """
    any_of(measured, "tsm")
    files: dict[str, bytes] = {}
    for each in measured.sets:
        values = each.registers()
        for algorithm in each.algorithms:
            for index in _indices(each):
                value = values.get(index, {}).get(algorithm, bytes(algorithm.size))
                name = register_key(each.kind, index)
                name += f":{algorithm.label}" if len(each.algorithms) > 1 else ""
                found = _register(each, index, algorithm, value, sync=sync)
                files |= {f"{each.kind}/{name}/{file}": contents for file, contents in found.items()}
    if not files:
        raise UsageError("tsm has a folder for each register, and nothing was extended")
    return files


def _indices(measurements: Measurements) -> list[int]:
    """PCRs that were extended; of confidential computing all registers there are."""
    used = (
        {event.index for event in measurements.events if event.extends}
        | measurements.unknown
        | measurements.given.keys()
    )
    return sorted(used | set(range(len(MR_NAMES.get(measurements.kind, ())))))


def _register(
    measurements: Measurements, index: int, algorithm: Algorithm, value: bytes, *, sync: bool
) -> dict[str, bytes]:
    known = index not in measurements.unknown
    # MRTD and RIM are what the machine was made with: nothing extends them later.
    static = index == 0 and measurements.kind in MR_NAMES
    lines = [] if known else ["# Not known: a part of it is the machine's own."]
    if index in measurements.given:
        lines = ["# By the platform's word: not all that was extended is known."]
    for event in measurements.events:
        if event.index == index and event.extends:
            said = describe(event)
            lines.append(f"# {type_name(event.type)}{' ' if said else ''}{said}")
            lines.append(f"# .EXTEND {event.digests[algorithm].hex()}")
    files = {"hash_algo": f"{algorithm.label}\n".encode()}
    if known and sync:
        line = f"SYNC {algorithm.label}/{value.hex()}"
        lines += ["", line] if lines else [line]
        if not static:
            value = algorithm.extend(value, algorithm.digest(line.encode()))
    if known:
        files["digest"] = f"{value.hex()}\n".encode()
    files["event_log"] = "".join(f"{line}\n" for line in lines).encode()
    if not static:
        files["append_event"] = b""
    return files
