"""The observer of a run: turns what the firmware tells into tables, findings and totals."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shim.trace.regions import Region, RegionLog
from shim.trace.tables import CALLS, COVERAGE, REGIONS, TOUCHED
from shim.trace.writer import TableWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from efi_services.dispatch import Call
    from shim.trace.accesses import Recorder
    from shim.trace.tables import Table


@dataclass(slots=True)
class Noted:
    """A kind of finding: its first case, and how many there were."""

    first: str
    first_call: int | None
    count: int = 1


@dataclass(slots=True)
class Watcher:
    """Implements the firmware's `Observer` port. *show* gets the console's text as it comes."""

    folder: Path
    show: Callable[[str], None]
    exact: bool = False
    on_call: Callable[[int], None] = lambda _begun: None
    regions: RegionLog = field(init=False)
    findings: dict[str, Noted] = field(default_factory=dict)
    by_name: Counter[str] = field(default_factory=Counter)
    unimplemented: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    gate: int = 0
    image: str = ""
    _calls: TableWriter = field(init=False)
    _regions: TableWriter = field(init=False)

    def __post_init__(self) -> None:
        self.regions = RegionLog(self._bury)
        self._regions = TableWriter(self.folder, REGIONS)
        self._calls = TableWriter(self.folder, CALLS)

    def call_begins(self, call: Call) -> None:
        """A service has been entered."""
        self.begun = call.seq + 1
        self.on_call(self.begun)
        self.gate = call.pc
        self.image = call.image

    def call_ends(self, call: Call) -> None:
        """A service returns, or never will."""
        name = f"{call.protocol}.{call.service}" if call.protocol else call.service
        self.by_name[name] += 1
        if not call.implemented:
            self.unimplemented[name] += 1
        self._calls.add(
            (
                call.seq,
                call.parent,
                call.depth,
                call.image,
                call.pc,
                call.caller,
                call.table,
                call.service,
                call.protocol,
                json.dumps(call.arguments),
                json.dumps(call.results),
                call.status,
                call.bytes_in,
                call.bytes_out,
                call.time,
            )
        )

    def console(self, text: str) -> None:
        """The guest printed."""
        self.show(text)

    def finding(self, kind: str, detail: str) -> None:
        """Something remarkable happened."""
        noted = self.findings.get(kind)
        if noted is None:
            self.findings[kind] = Noted(detail, self._call())
        else:
            noted.count += 1

    def region_born(self, start: int, end: int, kind: str, name: str) -> None:
        """Bytes got an owner."""
        owner = self.image if kind in ("pages", "pool") else ""
        self.regions.born(start, end, kind, owner, name, self._call())

    def region_died(self, start: int, end: int) -> None:
        """Bytes lost their owner."""
        self.regions.died(start, end, self._call())

    def close(self, recorder: Recorder | None) -> None:
        """Write what is left; the tables are readable from now on."""
        self._calls.close()
        self.regions.end()
        self._regions.close()
        if recorder is not None:
            self._write(TOUCHED, recorder.rows())
            (self.folder / COVERAGE.name).parent.mkdir()
            self._write(COVERAGE, recorder.coverage())
            for each in recorder.findings():
                self.findings[each.kind] = Noted(each.first, each.first_call, each.count)

    def _write(self, table: Table, rows: Iterator[tuple[Any, ...]]) -> None:
        writer = TableWriter(self.folder, table)
        for row in rows:
            writer.add(row)
        writer.close()

    def _bury(self, region: Region) -> None:
        """Keep a region's row: it is over, or the run is."""
        counts = (region.bytes_read, region.bytes_written) if self.exact else (None, None)
        self._regions.add(
            (
                region.id,
                region.start,
                region.end,
                region.kind,
                region.owner,
                region.name,
                region.born_call,
                region.died_call,
                *counts,
            )
        )

    def _call(self) -> int | None:
        return self.begun - 1 if self.begun else None
