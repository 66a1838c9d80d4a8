"""``show``: the parts of a run folder as tables on stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from efi_services.guids import name_of
from efi_services.memory_map import MemoryType
from efi_services.types import Guid
from shim.errors import UnreadableError
from shim.report.live import summary_table
from shim.report.text import one_line, stdout_console
from shim.report.tree import write_tree
from shim.trace.tables import CALLS, PRIVILEGED, REGIONS, SBI

if TYPE_CHECKING:
    from shim.trace.folder import RunFolder
    from shim.trace.tables import Table as Definition


_GUID_LENGTH = 36


def show_summary(run: RunFolder, _limit: int) -> None:
    """What run says at its end."""
    stdout_console().print(summary_table(run.report))


def show_calls(run: RunFolder, limit: int) -> None:
    """The service calls, nested as they happened."""
    table = _table("seq", "caller", "status", "call")
    for row in _rows(run, CALLS, limit):
        name = f"{row['protocol']}.{row['service']}" if row["protocol"] else row["service"]
        arguments = _spoken(row["arguments"])
        results = _spoken(row["results"])
        text = f"{'  ' * row['depth']}{name}({arguments})" + (f" → {results}" if results else "")
        _add(table, row["seq"], f"{row['image']} {row['caller']:#x}".strip(), row["status"] or "-", text)
    stdout_console().print(table)


def show_regions(run: RunFolder, limit: int) -> None:
    """Who owned which bytes."""
    table = _table("start", "end", "kind", "owner", "type", "name", "from call", "to call", "read", "written")
    for row in sorted(_rows(run, REGIONS, 0), key=lambda each: (each["start"], each["id"]))[: limit or None]:
        counts = [row[each] if row[each] is not None else "-" for each in ("bytes_read", "bytes_written")]
        _add(
            table,
            f"{row['start']:#x}",
            f"{row['end']:#x}",
            row["kind"],
            row["owner"] or "firmware",
            row["type"],
            row["name"],
            "start" if row["born_call"] is None else row["born_call"],
            "end" if row["died_call"] is None else row["died_call"],
            *counts,
        )
    stdout_console().print(table)


def show_privileged(run: RunFolder, limit: int) -> None:
    """Privileged instructions of a payload in user mode."""
    if run.report.privileged is None:
        raise UnreadableError(f"{run.path}: the payload ran with its privileges; use run --unprivileged")
    if not run.report.privileged.count:
        stdout_console().print("none: the payload ran without any privilege")
        return
    table = _table("pc", "image", "times", "from call", "instruction", "meaning")
    for row in _rows(run, PRIVILEGED, limit):
        counts = row["count"], row["first_call"]
        _add(table, f"{row['pc']:#x}", row["image"], *counts, row["instruction"], row["meaning"])
    stdout_console().print(table)


def show_sbi(run: RunFolder, limit: int) -> None:
    """Calls of what runs below a RISC-V machine's firmware."""
    rows = _rows(run, SBI, limit)
    if not rows:
        stdout_console().print("none: nothing below the firmware was called, which only a RISC-V machine has")
        return
    table = _table("seq", "pc", "image", "from call", "call", "answer")
    for row in rows:
        arguments = ", ".join(json.loads(row["arguments"]))
        call = f"{row['extension']}.{row['function']}({arguments})"
        answer = f"{row['error']}, {row['value']:#x}"
        _add(table, row["seq"], f"{row['pc']:#x}", row["image"], row["call"], call, answer)
    stdout_console().print(table)


def show_events(run: RunFolder, _limit: int) -> None:
    """Measurements."""
    if not run.report.measurements:
        stdout_console().print("no measurements: the platform has neither a TPM nor confidential-computing registers")
        return
    table = _table("pcr", "mr", "type", "description")
    for each in run.report.measurements:
        _add(table, each.pcr, each.mr, each.type, each.description)
    stdout_console().print(table)


def show_handoff(run: RunFolder, _limit: int) -> None:
    """The state at the kernel entry."""
    state = run.json("handoff/state.json")
    if state is None:
        raise UnreadableError(f"{run.path}: no kernel entry was reached, so there is no hand-off")
    write_tree(readable(state))


def readable(state: dict[str, Any]) -> dict[str, object]:
    """A hand-off's state: addresses in hex, the memory map and e820 a line each."""
    shown: dict[str, object] = {}
    for name, value in state.items():
        match value:
            case bool():
                shown[name] = value
            case int():
                shown[name] = f"{value:#x}"
            case dict():
                shown[name] = readable(value)
            case [{"pages": _}, *_]:
                shown[name] = [
                    {
                        "start": f"{each['start']:#014x}",
                        "pages": each["pages"],
                        "type": MemoryType(each["type"]).name,
                        "attribute": f"{each['attribute']:#x}",
                    }
                    for each in value
                ]
            case [{"size": _}, *_]:
                shown[name] = [
                    {"start": f"{each['start']:#014x}", "size": f"{each['size']:#x}", "type": each["type"]}
                    for each in value
                ]
            case _:
                shown[name] = value
    return shown


def _rows(run: RunFolder, definition: Definition, limit: int) -> list[dict[str, Any]]:
    """Rows in the order of the first column: the file is so in each of its batches only."""
    import pyarrow as pa

    names = [column.name for column in definition.columns]
    try:
        table = run.table(definition.name).select(names).cast(definition.schema()).sort_by(names[0])
    except (KeyError, pa.ArrowException) as error:
        raise UnreadableError(f"{run.path}: table {definition.name}: {error.args[0]}") from None
    rows: list[dict[str, Any]] = (table.slice(0, limit) if limit else table).to_pylist()
    return rows


def _spoken(text: str) -> str:
    """A JSON object as a person would write it: GUIDs by their names, nothing of what is NULL."""
    try:
        values = json.loads(text).items()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return text
    return ", ".join(f"{name}={_named(value)}" for name, value in values if value is not None)


def _named(value: object) -> object:
    if isinstance(value, str) and len(value) == _GUID_LENGTH and value.count("-") == 4:
        try:
            return name_of(Guid(value))
        except ValueError:
            return value
    return value


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *values: object) -> None:
    table.add_row(*(Text(one_line(str(value))) for value in values))
