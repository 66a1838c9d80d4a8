"""Measurements for people: registers and events, what differs from a real log, and what nobody measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import type_name
from efi_services.tcg.log import LogError
from shim.errors import UnreadableError, UsageError
from shim.measure.compare import compare
from shim.measure.coverage import coverage
from shim.measure.formats import FORMATS
from shim.measure.formats.common import register_name
from shim.measure.formats.fields import describe
from shim.measure.formats.inputs import digest_of
from shim.measure.readers import read
from shim.report.text import one_line, stdout_console

if TYPE_CHECKING:
    from shim.measure.model import Measured, Measurements
    from shim.measure.readers import ReadLog
    from shim.trace.folder import RunFolder

_SHOWN_READERS = 4


def show_forms() -> None:
    """Every form in which measurements are written."""
    table = _table("format", "is")
    for each in FORMATS.values():
        _add(table, each.name, each.doc)
    stdout_console().print(table)


def show_measured(measured: Measured) -> None:
    """Events and registers of each set."""
    for each in measured.sets:
        bank = _bank(each)
        events = _table("event", "register", "type", bank.label, "what")
        for number, event in enumerate(each.events):
            digest = event.digests.get(bank, b"").hex()[:16] if event.extends else "-"
            _add(events, number, register_name(each.kind, event.index), type_name(event.type), digest, describe(event))
        stdout_console().print(events)
        values = _table("register", bank.label)
        for index, value in each.registers().items():
            _add(values, register_name(each.kind, index), value[bank].hex())
        for index in sorted(each.unknown):
            _add(values, register_name(each.kind, index), "not known: the platform's own part is not")
        if each.kind == "exact":
            _add(values, "form inputs", digest_of(each).hex())
        stdout_console().print(values)
        for note in each.notes:
            stdout_console().print(Text(one_line(note)))


def show_comparison(measured: Measured, data: bytes, name: str) -> int:
    """What differs from a real machine's log; gives the number of differences that matter."""
    try:
        theirs = read(data)
    except (LogError, UnreadableError) as error:
        raise UnreadableError(f"{name}: {error}") from None
    ours = _set_for(theirs, measured)
    if ours is None:
        raise UsageError(f"{name}: the run measured nothing to compare with")
    found = compare(ours, theirs)
    for each in found:
        stdout_console().print(Text(one_line(str(each))))
    if not found:
        stdout_console().print(f"equal: {len(theirs.events)} events")
    return sum(each.matters for each in found)


def _set_for(theirs: ReadLog, measured: Measured) -> Measurements | None:
    """The set that the log is about: by what it says, or else the first with one of its banks."""
    if theirs.confidential is not None:
        wanted = ("tdx", "cca") if theirs.confidential else ("tpm",)
        return measured.set_of(*wanted) or next(iter(measured.sets), None)
    common = (each for each in measured.sets if set(each.algorithms) & set(theirs.algorithms))
    return next(common, next(iter(measured.sets), None))


def show_gap(run: RunFolder, measured: Measured) -> None:
    """Each input that the stub consumed, the event that covers it, or who read what nothing covers."""
    table = _table("input", "size", "read", "measured by", "read by")
    for each in coverage(run, measured):
        piece, found = each.consumed.piece, each.consumed
        _add(
            table,
            piece.name,
            piece.size,
            "-" if found.bytes_read is None else found.bytes_read,
            "not known: give the file with --payload" if each.by is None else "; ".join(each.by) or "nothing",
            ", ".join(found.readers[:_SHOWN_READERS]) + (" …" if len(found.readers) > _SHOWN_READERS else ""),
        )
    stdout_console().print(table)


def _bank(measurements: Measurements) -> Algorithm:
    """The bank to show: SHA-256 where there is one."""
    return Algorithm.SHA256 if Algorithm.SHA256 in measurements.algorithms else measurements.algorithms[0]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *values: object) -> None:
    table.add_row(*(Text(one_line(str(value))) for value in values))
