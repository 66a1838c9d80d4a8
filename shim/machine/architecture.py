"""What the machine asks of an architecture: one object for each, in a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.engine import Engine
    from shim.machine._native import Monitor
    from shim.machine.paging import EntryFormat
    from shim.machine.sbi import Call


@dataclass(frozen=True, slots=True)
class Trap:
    """An exception that the CPU took: its name, and the access that page tables refused, if it was one.

    *pc* is the instruction, where Unicorn has moved the CPU on from it.
    """

    name: str
    address: int | None = None
    write: bool = False
    fetch: bool = False
    pc: int | None = None


class Architecture(Protocol):
    """One architecture's CPU, as firmware sets it up. Registers have the names of its manual, in lower case."""

    @property
    def name(self) -> str:
        """As `Abi.name` spells it."""

    @property
    def engine_mode(self) -> tuple[int, int]:
        """Unicorn's numbers of the architecture and its mode."""

    @property
    def cpu_models(self) -> Mapping[str, int]:
        """Unicorn's numbers of CPU models, by the names that a platform gives; none has randomness."""

    @property
    def registers(self) -> Mapping[str, int]:
        """Unicorn's numbers of registers."""

    @property
    def program_counter(self) -> str:
        """The name of the register that says where the CPU is."""

    @property
    def address_limit(self) -> int:
        """The first address that RAM can't have."""

    @property
    def entry_format(self) -> EntryFormat:
        """How the entries of page tables are spelt."""

    @property
    def descriptor_tables(self) -> bytes:
        """What the CPU wants in memory besides page tables; whole pages, or nothing."""

    @property
    def invalid_instruction(self) -> str:
        """What the CPU's manual calls the exception of an instruction that it doesn't have."""

    def prepare(self, engine: Engine, page_tables: int, descriptor_tables: int, stack: int) -> None:
        """Bring the CPU to the state in which UEFI starts an image (UEFI 2.10, section 2.3)."""

    def answer_reads(self, engine: Engine, monitor: Monitor) -> None:
        """Let instructions that read a clock see virtual time, and others what the platform tells of the CPU."""

    def mask_interrupts(self, engine: Engine) -> None:
        """Leave interrupts masked, as ExitBootServices does."""

    def can_wake(self, engine: Engine) -> bool:
        """Whether an interrupt would end the wait of a halted CPU."""

    def resume_address(self, engine: Engine, pc: int) -> int:
        """What Unicorn wants to be told to go on at *pc*, where the CPU stopped."""

    def trap(self, engine: Engine, number: int) -> Trap:
        """What the exception is that Unicorn gives as *number*; asked from within its hook."""

    def emulate(self, engine: Engine, trap: Trap) -> Call | None:
        """Do what software below the firmware does when it gets this trap; gives what it was asked for, if it was."""

    def forget_trap(self, engine: Engine) -> None:
        """Let the CPU take the next exception as its first."""

    def handoff_registers(self, engine: Engine) -> dict[str, int]:
        """Registers as a hand-off reports them."""
