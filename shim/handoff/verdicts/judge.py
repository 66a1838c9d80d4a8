"""All rules, and what they come to for one hand-off."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shim.handoff.verdicts import (
    arm64_cpu,
    arm_cpu,
    device_tree,
    given,
    kernel,
    memory_map,
    placement,
    riscv64_cpu,
    tables,
    x86_cpu,
)
from shim.handoff.verdicts.rule import Handed, Outcome, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shim.handoff.verdicts.rule import Given, Memory

FILE = "handoff/verdicts.json"
_SUBJECTS = (
    x86_cpu, arm64_cpu, arm_cpu, riscv64_cpu, kernel, placement, device_tree, memory_map, tables, given,
)  # fmt: skip
#: In the order in which they are shown. A name stands once for each architecture.
RULES = tuple(each for subject in _SUBJECTS for each in vars(subject).values() if isinstance(each, Rule))


def judge(state: Mapping[str, Any], memory: Memory, given_: Given) -> list[Verdict]:
    """The verdicts of all rules for the state's architecture."""
    handed = Handed(state, memory, given_)
    return [each.verdict(handed) for each in RULES if handed.architecture in each.architectures]


def to_json(verdicts: Sequence[Verdict]) -> str:
    """As they are kept in a run folder."""
    return json.dumps([asdict(each) for each in verdicts], indent=2) + "\n"


def from_json(rows: Any) -> list[Verdict]:
    """Verdicts that were kept; raises ValueError where they are none."""
    try:
        return [Verdict(str(each["rule"]), Outcome(each["outcome"]), str(each["sentence"])) for each in rows]
    except (KeyError, TypeError):
        raise ValueError("no verdicts") from None
