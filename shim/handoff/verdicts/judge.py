"""All rules, and what they come to for one hand-off."""

from __future__ import annotations

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
    screen,
    tables,
    x86_cpu,
)
from shim.handoff.verdicts.rule import Handed, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.handoff.verdicts.rule import Given, Memory
    from shim.handoff.verdicts.verdict import Verdict

_SUBJECTS = (
    x86_cpu, arm64_cpu, arm_cpu, riscv64_cpu, kernel, placement, device_tree, memory_map, tables, screen, given,
)  # fmt: skip
#: In the order in which they are shown. A name stands once for each architecture.
RULES = tuple(each for subject in _SUBJECTS for each in vars(subject).values() if isinstance(each, Rule))


def judge(state: Mapping[str, Any], memory: Memory, given_: Given) -> list[Verdict]:
    """The verdicts of all rules for the state's architecture."""
    handed = Handed(state, memory, given_)
    return [each.verdict(handed) for each in RULES if handed.architecture in each.architectures]
