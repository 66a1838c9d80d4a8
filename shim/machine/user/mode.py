"""What the machine asks of an architecture's user mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from shim.engine import Engine
    from shim.machine._native import Monitor
    from shim.machine.architecture import Trap
    from shim.machine.paging import EntryFormat
    from shim.machine.ram import Ram


@dataclass(frozen=True, slots=True)
class Performed:
    """A privileged instruction that was done for the payload: where, its text, what it is called, what it was for.

    *name* is one of few words, without values. Where the run can't go on, *ends* says why.
    """

    pc: int
    instruction: str
    name: str
    meaning: str
    ends: str = ""
    #: How often, one time after another.
    count: int = 1


class UserMode(Protocol):
    """Runs a payload without privileges on one architecture."""

    @property
    def entry_bit(self) -> int:
        """The bit of page table entries by which user mode may use what they map."""

    def entry_format(self, form: EntryFormat) -> EntryFormat:
        """The same page tables, for user mode."""

    def watch(self, engine: Engine, monitor: Monitor, note: Callable[[Performed], None]) -> None:
        """Report to *note* what Unicorn allows in user mode although the architecture doesn't.

        What comes often, *monitor* counts instead, for `counted`.
        """

    def counted(self, monitor: Monitor, ram: Ram) -> Iterator[Performed]:
        """What has been done without a trap since the last time."""

    def enter(self, engine: Engine, monitor: Monitor, at: int) -> None:
        """Bring the prepared CPU to user mode; at address *at*, code can be executed that is of no use to anybody."""

    def raised(self, engine: Engine) -> AbstractContextManager[None]:
        """While the host uses registers that user mode may not."""

    def perform(self, engine: Engine, trap: Trap, ram: Ram) -> Performed | None:
        """Do the privileged instruction that trapped, as the CPU would have; None if that isn't why it trapped."""

    def privileged(self, registers: dict[str, int]) -> dict[str, int]:
        """What the registers of a hand-off would be if the payload had run with its privileges."""
