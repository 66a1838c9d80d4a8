"""What people see while a run goes on and when it is over. All of it goes to stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from shim.report.text import plain

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from shim.config.run import RunReport
    from shim.session.request import Progress

_COLOURS = {"kernel-entry": "green", "returned": "green", "exited": "green", "reset": "yellow"}
_SHOWN_SERVICES = 6
#: Lines of the guest's console that are shown as they come; the rest is in console.txt.
_SHOWN_LINES = 200


class Live:
    """A status line, the guest's console text, and a summary."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status: Status | None = None
        self._line = ""
        self._lines = 0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = Status("starting", console=self._console)
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line:
            self._print_line(self._line)
        if self._lines > _SHOWN_LINES:
            self._console.print(f"[dim]  … {self._lines - _SHOWN_LINES} more lines in console.txt[/dim]")
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        """A line of progress."""
        self._console.print(Text(plain(text)), style="dim", soft_wrap=True)

    def console(self, text: str) -> None:
        """The guest printed; shown line by line."""
        *lines, self._line = (self._line + text).replace("\r", "").split("\n")
        for line in lines:
            self._print_line(line)
        # A payload that never ends its line must not fill our memory.
        if len(self._line) > 4096:
            self._print_line(self._line)
            self._line = ""

    def progress(self, progress: Progress) -> None:
        """How far the run has come."""
        if self._status is not None:
            self._status.update(
                f"{progress.blocks / 1e6:.0f} M blocks, {progress.calls} service calls, {progress.seconds:.1f} s"
            )

    def summary(self, report: RunReport, folder: Path) -> None:
        """The run in a few lines."""
        self._console.print(summary_table(report))
        self._console.print(Text(f"run folder: {plain(str(folder))}"), soft_wrap=True)

    def _print_line(self, line: str) -> None:
        self._lines += 1
        if self._lines <= _SHOWN_LINES:
            self._console.print(Text.assemble(("│", "dim"), " ", plain(line)), soft_wrap=True)


def summary_table(report: RunReport) -> Table:
    """A run's summary."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")

    def add(name: str, value: Any) -> None:
        table.add_row(name, Text(plain(str(value))))

    payload, outcome, memory = report.payload, report.outcome, report.memory
    add("payload", f"{payload.name}, {payload.kind} for {payload.machine}")
    if payload.version:
        add("version", payload.version)
    add("sha256", payload.sha256)
    ends = outcome.kind + (f" {outcome.status}" if outcome.status else "")
    detail = f": {plain(outcome.detail)}" if outcome.detail else ""
    bad = outcome.status not in (None, "EFI_SUCCESS")
    colour = "red" if bad else _COLOURS.get(outcome.kind, "red")
    table.add_row("outcome", Text.assemble((plain(ends), colour), detail))
    if report.handoff.entry is not None:
        add("kernel entry", f"{report.handoff.entry:#x}, entered from {report.handoff.entered_from:#x}")
    if report.kexec is not None:
        add("follows", " → ".join(each.payload.version or each.payload.name for each in report.chain))
        ima = report.kexec.ima
        add("measurement list", f"{ima.entries} entries, {ima.size} bytes at {ima.address:#x}")
    for stage in report.stages:
        did = [f"{sum(each.size for each in stage.written):,} bytes written"] if stage.written else []
        did += [f"{name} set" for name in stage.registers]
        add("stage", f"{stage.name}: {', '.join((*did, *stage.notes)) or 'it changed nothing'}")
    add("boot services", "exited" if report.boot_services_exited else "still there at the end")
    often = sorted(report.calls.by_name.items(), key=lambda each: (-each[1], each[0]))
    named = ", ".join(f"{name} {count}" for name, count in often[:_SHOWN_SERVICES])
    add("service calls", f"{report.calls.count}" + (f": {named}" if named else ""))
    for name, count in report.calls.unimplemented.items():
        add("not implemented", f"{name}, called {count} times")
    if report.accesses.count is not None:
        counted = report.accesses
        add("accesses", f"{counted.count:,}: {counted.reads:,} reads, {counted.writes:,} writes")
        add("digest", counted.digest)
    if report.privileged is not None:
        kinds = ", ".join(f"{count}× {name}" for name, count in report.privileged.by_name.items())
        add("privileged", f"{report.privileged.count:,} instructions were performed for it{kinds and f': {kinds}'}")
    for finding in report.findings:
        # A fault is the outcome already.
        if finding.kind == "fault":
            continue
        add("finding", f"{finding.kind}, {finding.count}×: {finding.first}")
    add(
        "memory",
        f"{memory.allocated_peak_bytes / 2**20:.1f} of {memory.ram_bytes / 2**20:.0f} MiB allocated at the peak",
    )
    add("memory digest", memory.digest)
    engine, timing = report.engine, report.timing
    add("engine", f"Unicorn {engine.unicorn}{', patched' if engine.patched else ''}, {engine.blocks:,} blocks")
    if not engine.deterministic:
        add("note", "the host's clock or its user ended this run: another one will end elsewhere")
    add(
        "time",
        f"{timing.wall_s:.2f} s: {timing.emulation_s:.2f} s emulation, {timing.services_s:.2f} s services",
    )
    return table
