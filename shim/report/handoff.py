"""``handoff``: the state at the kernel entry for people, with the meaning of its parts, and the verdicts on it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from shim.errors import UnreadableError
from shim.handoff import x86
from shim.handoff.verdicts.verdict import Outcome, kept
from shim.replay.origins import FILE as ORIGINS
from shim.replay.origins import load_origins
from shim.report.tables import readable
from shim.report.text import one_line, stdout_console
from shim.report.tree import write_tree

if TYPE_CHECKING:
    from shim.handoff.verdicts.verdict import Verdict
    from shim.replay.origins import Origin, Source
    from shim.trace.folder import RunFolder

_FLAGS = ((9, "IF"), (10, "DF"), (17, "VM"))
_SCTLR = ((0, "MMU"), (2, "data cache"), (12, "instruction cache"))
_MASKS = ((6, "F masked"), (7, "I masked"), (8, "A masked"), (9, "D masked"))
#: Bits of control registers that tell how a kernel is entered.
_BITS: dict[str, tuple[tuple[int, str], ...]] = {
    "rflags": _FLAGS,
    "eflags": _FLAGS,
    "cr0": ((0, "PE"), (1, "MP"), (2, "EM"), (3, "TS"), (4, "ET"), (5, "NE"), (16, "WP"), (18, "AM"), (31, "PG")),
    "cr4": (
        (3, "DE"), (4, "PSE"), (5, "PAE"), (6, "MCE"), (7, "PGE"), (9, "OSFXSR"), (10, "OSXMMEXCPT"), (12, "LA57"),
        (20, "SMEP"), (21, "SMAP"),
    ),
    "efer": ((0, "SCE"), (8, "LME"), (10, "LMA"), (11, "NXE")),
    "pstate": _MASKS,
    "cpsr": _MASKS[:3],
    "sctlr": _SCTLR,
    "sctlr_el1": _SCTLR,
    "sctlr_el2": _SCTLR,
    "sstatus": ((1, "SIE"),),
}  # fmt: skip
_GDT_ENTRY = 8
#: Of one part, named for people.
_MOST_WRITERS = 2


@dataclass(frozen=True, slots=True)
class Handoff:
    """What a run folder has of its hand-off."""

    state: dict[str, Any]
    verdicts: list[Verdict]
    #: None as long as nobody has asked for them.
    origins: list[Origin] | None = None

    @property
    def failed(self) -> list[Verdict]:
        """The verdicts that say no."""
        return [each for each in self.verdicts if each.outcome is Outcome.FAILED]


def load(run: RunFolder) -> Handoff:
    """The hand-off in a run folder; raises UnreadableError where there is none, or none that can be read."""
    state = run.json("handoff/state.json")
    if state is None:
        raise UnreadableError(f"{run.path}: no kernel entry was reached, so there is no hand-off")
    origins = load_origins(run) if (run.path / ORIGINS).is_file() else None
    return Handoff(state, kept(run.path), origins)


def as_json(found: Handoff) -> str:
    """All as one JSON object."""
    told: dict[str, Any] = {"state": found.state, "verdicts": [asdict(each) for each in found.verdicts]}
    if found.origins is not None:
        told["origins"] = [asdict(each) for each in found.origins]
    return json.dumps(told, indent=2) + "\n"


def show(found: Handoff) -> None:
    """All on stdout."""
    try:
        explained = _explained(found.state, found.origins or [])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnreadableError("handoff/state.json: damaged") from None
    write_tree(explained)
    table = Table(box=None, pad_edge=False)
    for column in ("verdict", "rule", "why"):
        table.add_column(column, overflow="fold")
    for each in found.verdicts:
        table.add_row(Text(each.outcome), Text(one_line(each.rule)), Text(one_line(each.sentence)))
    stdout_console().print(table)


def _explained(state: dict[str, Any], origins: list[Origin]) -> dict[str, Any]:
    by = {each.name: _written_by(each) for each in origins}
    shown = readable(state)
    registers = shown["registers"]
    if not isinstance(registers, dict):
        raise TypeError("registers")
    for name in _BITS.keys() & registers.keys():
        names = [label for bit, label in _BITS[name] if state["registers"][name] >> bit & 1]
        registers[name] = f"{registers[name]}  {', '.join(names) or 'none of the bits that matter'}"
    if isinstance(state.get("gdt"), str):
        shown["gdt"] = gdt(bytes.fromhex(state["gdt"]))
    boot_params = shown.get("boot_params")
    if isinstance(boot_params, dict):
        boot_params["fields"] = [
            {
                "field": name,
                "value": f"{value:#x}",
                "meaning": x86.MEANINGS[name],
                **({"written by": by.pop(f"boot_params.{name}", "")} if origins else {}),
            }
            for name, value in state["boot_params"]["fields"].items()
        ]
    rest = [each for each in origins if each.name in by]
    if rest:
        shown["written by"] = [
            {"part": each.name, "address": f"{each.address:#x}", "bytes": str(each.size), "written by": by[each.name]}
            for each in rest
        ]
    return shown


def _written_by(origin: Origin) -> str:
    """Where a part comes from, in words: its first writers, and how many more there are."""
    writers: dict[tuple[str, str | None, int | None], list[Source]] = {}
    for source in origin.sources:
        writers.setdefault((source.by, source.function, source.call), []).append(source)
    told = [_writer(sources) for sources in list(writers.values())[:_MOST_WRITERS]]
    left = len(writers) - len(told)
    return "; ".join([*told, *([f"{left} more"] if left else [])])


def _writer(sources: list[Source]) -> str:
    first = sources[0]
    if first.by == "nobody":
        return "nobody, it is as at power-on"
    if first.by == "service":
        return "the firmware, before the first call" if first.call is None else f"{first.service}, call {first.call}"
    instructions = sorted({each.pc or 0 for each in sources})
    others = f" and {len(instructions) - 1} more" if len(instructions) > 1 else ""
    after = "" if first.call is None else f", after call {first.call} ({first.service})"
    return f"{first.function or 'code'} at {instructions[0]:#x}{others}{after}"


def gdt(data: bytes) -> list[dict[str, str]]:
    """A GDT's descriptors (Intel SDM volume 3, section 3.4.5), those that are null left out."""
    found = []
    for at in range(0, len(data) - len(data) % _GDT_ENTRY, _GDT_ENTRY):
        each = int.from_bytes(data[at : at + _GDT_ENTRY], "little")
        if not each:
            continue
        base = each >> 16 & 0xFF_FFFF | each >> 56 << 24
        limit = each & 0xFFFF | each >> 32 & 0xF_0000
        limit = limit << 12 | 0xFFF if each >> 55 & 1 else limit
        kind = "system" if not each >> 44 & 1 else "code" if each >> 43 & 1 else "data"
        bits = 64 if each >> 53 & 1 else 32 if each >> 54 & 1 else 16
        found.append(
            {"selector": f"{at:#x}", "kind": kind, "bits": str(bits), "base": f"{base:#x}", "limit": f"{limit:#x}"}
        )
    return found
