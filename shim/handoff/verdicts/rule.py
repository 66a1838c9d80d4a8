"""What a rule is, what it judges, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from efi_services.memory_map import PAGE, MemoryType
from efi_services.ports import MemoryFault
from shim.handoff.kernel_image import Kernel, find
from shim.handoff.verdicts.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from payloads import Payload

X86 = frozenset({"x86_64", "i386"})
WITH_TREE = frozenset({"aarch64", "arm", "riscv64"})
EVERYWHERE = X86 | WITH_TREE


class BrokenError(Exception):
    """The rule is broken; the sentence says where."""


class NotApplicableError(Exception):
    """There is nothing that the rule is about; the sentence says what is missing."""


class Memory(Protocol):
    """RAM, or a copy of it."""

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Where there is any."""

    def view(self, address: int, size: int) -> memoryview:
        """Its bytes; raises MemoryFault where the range isn't all RAM."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the stub was given, to hold against what it handed on.

    *kernel* is the file of the image that jumped to the kernel, and *image_base* where that image lay; None where the
    image is of no known file. *load_options* are that image's, None where nobody knows them. *initrd* is the SHA-256
    of what the firmware handed out, empty where it handed out none, None where another program may have put the
    initrd together. *started_by* is the file of the image that started that one; None where the firmware did.
    """

    kernel: Payload | None = None
    image_base: int = 0
    load_options: bytes | None = None
    initrd: str | None = None
    started_by: Payload | None = None


@dataclass(frozen=True)
class Handed:
    """A hand-off to be judged: the state as `shim.handoff.state` collects it, memory, and what was given."""

    state: Mapping[str, Any]
    memory: Memory
    given: Given

    @property
    def architecture(self) -> str:
        """As `Abi.name` spells it."""
        name: str = self.state["architecture"]
        return name

    def register(self, name: str) -> int:
        """A register's value; raises NotApplicableError for one that the state doesn't have."""
        registers: Mapping[str, int] = self.state["registers"]
        if name not in registers:
            # A guest may have left the exception level that it was started at.
            raise NotApplicableError(f"{name} is not known")
        return registers[name]

    @cached_property
    def kernel(self) -> Kernel:
        """The kernel, by its file; found once, since that may mean to unpack it."""
        return find(self.given.kernel, self.state["entry"], self.given.started_by)

    @property
    def boot_params(self) -> Mapping[str, Any]:
        """boot_params decoded; raises NotApplicableError where there are none."""
        found: Mapping[str, Any] | None = self.state.get("boot_params")
        if found is None:
            raise NotApplicableError("there are no boot_params")
        return found

    @property
    def tree(self) -> Mapping[str, Any]:
        """The device tree's place and /chosen; raises NotApplicableError where there is none."""
        found: Mapping[str, Any] | None = self.state.get("device_tree")
        if found is None:
            raise NotApplicableError("there is no device tree")
        return found

    def types(self, start: int, end: int) -> set[MemoryType | None]:
        """The types of memory, by the map at ExitBootServices, that a range has; None for a place outside the map."""
        found: set[MemoryType | None] = set()
        at = start
        for each in sorted(self.state["memory_map"], key=itemgetter("start")):
            first, last = each["start"], each["start"] + each["pages"] * PAGE
            if last <= at or first >= end:
                continue
            if first > at:
                found.add(None)
            found.add(MemoryType(each["type"]))
            at = last
        return found | ({None} if at < end else set())


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its name, what it demands, who says so, and for which architectures."""

    name: str
    demands: str
    source: str
    architectures: frozenset[str]
    judge: Callable[[Handed], str]

    def verdict(self, handed: Handed) -> Verdict:
        """What it comes to."""
        try:
            return Verdict(self.name, Outcome.OK, self.judge(handed))
        except BrokenError as why:
            return Verdict(self.name, Outcome.FAILED, str(why))
        except MemoryFault as fault:
            # The rule about RAM says so.
            return Verdict(self.name, Outcome.NOT_APPLICABLE, f"there is no memory at {fault.address:#x} to look at")
        except NotApplicableError as why:
            return Verdict(self.name, Outcome.NOT_APPLICABLE, str(why))


def rule(
    name: str, source: str, architectures: frozenset[str] = EVERYWHERE
) -> Callable[[Callable[[Handed], str]], Rule]:
    """Make a function a rule; its docstring says what it demands.

    It returns a sentence where all is well, and raises BrokenError or NotApplicableError with one where it isn't.
    """

    def make(judge: Callable[[Handed], str]) -> Rule:
        assert judge.__doc__ is not None
        return Rule(name, judge.__doc__.partition("\n\n")[0], source, architectures, judge)

    return make
