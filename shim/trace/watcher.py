"""The observer of a run: turns what the firmware tells into tables, findings and totals."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from json.encoder import encode_basestring_ascii as _quote
from typing import TYPE_CHECKING, Any

from efi_services.ports import Access
from efi_services.tcg.piece import Piece, piece
from shim.machine import sbi
from shim.trace.regions import Region, RegionLog
from shim.trace.tables import BLOCKS, BYTES, CALLS, PRIVILEGED, REGIONS, SBI, TOUCHED
from shim.trace.writer import TableWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from efi_services.dispatch import Call
    from efi_services.tcg.measurer import Extension
    from efi_services.types import Json
    from shim.machine.user.mode import Performed
    from shim.trace.accesses import Recorder
    from shim.trace.tables import Table


#: Inputs of which a run tells; a guest can read without end.
MOST_INPUTS = 20_000
#: Rows of privileged instructions; a guest can make new ones without end.
MOST_PRIVILEGED = 20_000


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
    #: What watches memory accesses, at level exact.
    recorder: Recorder | None = None
    regions: RegionLog = field(init=False)
    findings: dict[str, Noted] = field(default_factory=dict)
    by_name: Counter[str] = field(default_factory=Counter)
    unimplemented: Counter[str] = field(default_factory=Counter)
    #: Extended registers, each with the call that was going on.
    #: What the guest got from outside.
    inputs: list[Piece] = field(default_factory=list)
    measurements: list[tuple[Extension, int | None]] = field(default_factory=list)
    #: Kinds of privileged instructions that were performed for a payload in user mode.
    privileged_by_name: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    gate: int = 0
    image: str = ""
    _calls: TableWriter = field(init=False)
    _sbi: TableWriter = field(init=False)
    _sbi_calls: int = 0
    _regions: TableWriter = field(init=False)
    _folded: dict[str, TableWriter] = field(default_factory=dict)
    #: The rows of the same but for their counts, which are: how often, and the calls that had begun.
    _privileged: dict[tuple[Any, ...], list[int]] = field(default_factory=dict)
    #: Accesses before each call that hasn't ended yet.
    _before: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.regions = RegionLog(self._bury)
        self._regions = TableWriter(self.folder, REGIONS)
        self._calls = TableWriter(self.folder, CALLS)
        self._sbi = TableWriter(self.folder, SBI)

    def watch(self, recorder: Recorder) -> None:
        """Let *recorder* pass what it folds on to here."""
        self.recorder = recorder
        for table in (TOUCHED, BYTES, BLOCKS):
            self._folded[table.name] = TableWriter(self.folder, table)

    def call_begins(self, call: Call) -> None:
        """A service has been entered."""
        self.begun = call.seq + 1
        if self.recorder is not None:
            self._before[call.seq] = self.recorder.begin_call(self.begun)
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
                _json(call.arguments),
                _json(call.results),
                call.status,
                call.bytes_in,
                call.bytes_out,
                call.time,
                self._before.pop(call.seq, None),
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

    def region_born(
        self, start: int, end: int, kind: str, memory_type: str, name: str = "", access: Access = Access.RW
    ) -> None:
        """Bytes got an owner."""
        owner = self.image if kind in ("pages", "pool") else ""
        self.regions.born(start, end, kind, owner, memory_type, name, self._call(), access)

    def region_died(self, start: int, end: int) -> None:
        """Bytes lost their owner."""
        self.regions.died(start, end, self._call())

    def region_named(self, address: int, name: str) -> None:
        """The firmware put something there."""
        self.regions.named(address, name)

    def provided(self, name: str, address: int, data: bytes) -> None:
        """The guest got something from outside."""
        self.regions.named(address, name)
        if len(self.inputs) >= MOST_INPUTS:
            self.finding("inputs-left-out", f"{name}: there are {MOST_INPUTS} before it")
            return
        self.inputs.append(piece(name, data, address, self._call()))

    def privileged(self, image: str, performed: Performed) -> None:
        """A privileged instruction was performed for a payload in user mode."""
        self.privileged_by_name[performed.name] += performed.count
        key = (performed.pc, image, performed.instruction, performed.name, performed.meaning)
        if key in self._privileged:
            self._privileged[key][0] += performed.count
        elif len(self._privileged) < MOST_PRIVILEGED:
            self._privileged[key] = [performed.count, self.begun]
        else:
            self.finding("privileged-left-out", f"{performed.instruction}: there are {MOST_PRIVILEGED} before it")

    def asked(self, image: str, call: sbi.Call) -> None:
        """What runs below the firmware was called."""
        answer = "SBI_SUCCESS" if call.error == sbi.SUCCESS else "SBI_ERR_NOT_SUPPORTED"
        arguments = json.dumps([f"{each:#x}" for each in call.arguments])
        place = self._sbi_calls, call.pc, image, call.extension, call.function
        self._sbi.add((*place, arguments, answer, call.value, self.begun))
        self._sbi_calls += 1

    def measured(self, extension: Extension) -> None:
        """A measurement register was extended."""
        self.measurements.append((extension, self._call()))

    def row(self, table: Table, row: tuple[Any, ...]) -> None:
        """The `Sink` of a recorder: a row."""
        self._folded[table.name].add(row)

    def packed(self, table: Table, rows: bytes) -> None:
        """The `Sink` of a recorder: rows as native code packs them."""
        self._folded[table.name].add_packed(rows)

    def close(self) -> None:
        """Write what is left; the tables are readable from now on."""
        try:
            self.regions.end()
            if self.recorder is not None:
                self.recorder.finish()
                for each in self.recorder.findings():
                    self.findings[each.kind] = Noted(each.first, each.first_call, each.count)
        finally:
            privileged = TableWriter(self.folder, PRIVILEGED)
            for key, counts in sorted(self._privileged.items()):
                privileged.add((*key, *counts))
            with ExitStack() as closing:
                # All are closed, whichever fails.
                for writer in (self._calls, self._sbi, self._regions, privileged, *self._folded.values()):
                    closing.callback(writer.close)

    def _bury(self, region: Region) -> None:
        """Keep a region's row: it is over, or the run is."""
        counts = (region.bytes_read, region.bytes_written) if self.recorder else (None, None)
        self._regions.add(
            (
                region.id,
                region.start,
                region.end,
                region.kind,
                region.owner,
                region.type,
                region.name,
                region.born_call,
                region.died_call,
                *counts,
            )
        )

    def _call(self) -> int | None:
        return self.begun - 1 if self.begun else None


#: Names of parameters are few.
_key = cache(_quote)


def _json(values: Mapping[str, Json]) -> str:
    """What json.dumps gives, in half of the time for what most calls have: few texts and numbers."""
    parts = []
    for name, value in values.items():
        if type(value) is str:
            parts.append(f"{_key(name)}: {_quote(value)}")
        elif type(value) is int:
            parts.append(f"{_key(name)}: {value}")
        else:
            return json.dumps(values)
    return "{" + ", ".join(parts) + "}"
