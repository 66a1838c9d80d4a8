"""The state that a stage gets, and the record of what it did to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from efi_services.tcg.algorithms import digests
from efi_services.tcg.events import Event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from efi_services.firmware import Firmware
    from efi_services.memory_map import MemoryDescriptor
    from efi_services.types import Guid
    from shim.machine.machine import Machine, Stop


class StoppedError(Exception):
    """A stage will not have the kernel started; the text is a sentence that says why."""


@dataclass(slots=True)
class Changes:
    """What a stage did: bytes by address, registers before and after, and what it had to say."""

    name: str
    written: list[tuple[int, bytes]] = field(default_factory=list)
    registers: dict[str, tuple[int, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def spans(self) -> list[tuple[int, int]]:
        """Start and end of what was written, ascending, with neighbours put together."""
        joined: list[tuple[int, int]] = []
        for start, end in sorted((address, address + len(data)) for address, data in self.written):
            if joined and start <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(end, joined[-1][1])
            else:
                joined.append((start, end))
        return joined


class State:
    """The machine before the kernel's first instruction. Addresses are physical, as the kernel finds them.

    *handoff* is what ``handoff/state.json`` would hold if no stage did anything: registers, memory map, boot_params or
    the device tree decoded.
    """

    def __init__(
        self, machine: Machine, firmware: Firmware, stop: Stop, handoff: Mapping[str, Any], changes: Changes
    ) -> None:
        self._machine = machine
        self._firmware = firmware
        self._changes = changes
        self.entered_from = stop.came_from
        self.handoff = handoff

    @property
    def architecture(self) -> str:
        """x86_64, i386, aarch64, arm or riscv64."""
        return self._machine.architecture.name

    @property
    def entry(self) -> int:
        """Where the kernel begins; setting it sends the CPU elsewhere."""
        return self.register(self._machine.architecture.program_counter)

    @entry.setter
    def entry(self, address: int) -> None:
        self.set_register(self._machine.architecture.program_counter, address)

    @property
    def memory_map(self) -> list[MemoryDescriptor]:
        """The EFI memory map at ExitBootServices."""
        return self._firmware.memory_map.descriptors()

    @property
    def configuration_tables(self) -> dict[Guid, int]:
        """Addresses of the configuration tables by GUID."""
        return self._firmware.configuration.tables

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Where there is RAM."""
        return self._machine.ram.ranges

    def read(self, address: int, size: int) -> bytes:
        """Memory; raises `efi_services.ports.MemoryFault` where there is none."""
        return bytes(self._machine.ram.view(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Change memory; raises MemoryFault where there is none."""
        self._machine.ram.write(address, data)
        self._changes.written.append((address, bytes(data)))

    def register(self, name: str) -> int:
        """A register by the name that the architecture's manual has for it; raises KeyError."""
        (value,) = self._machine.read((name,))
        return value

    def set_register(self, name: str, value: int) -> None:
        """Change a register; raises KeyError."""
        before = self.register(name)
        self._machine.write({name: value})
        first = self._changes.registers.get(name, (before, before))[0]
        self._changes.registers[name] = first, self.register(name)

    def measure(self, pcr: int, event_type: int, hashed: bytes, data: bytes) -> None:
        """Extend the digests of *hashed* where the platform has a register for *pcr*; *data* goes into the log.

        Raises `efi_services.status.EfiError` where the TPM fails, or the log has no room.
        """
        measurer = self._firmware.measurer
        for ledger in measurer.ledgers:
            index = ledger.index_of(pcr)
            if index is not None and ledger.can_extend(index):
                measurer.log_extend(ledger, Event(index, event_type, digests(ledger.algorithms, hashed), data))

    def note(self, sentence: str) -> None:
        """Have a sentence written down in ``run.json``."""
        self._changes.notes.append(str(sentence))

    def stop(self, sentence: str) -> None:
        """Don't let the kernel start: the run ends here, with the sentence as its reason."""
        raise StoppedError(str(sentence))


def digest_of(machine: Machine, start: int, end: int) -> str:
    """SHA-256 of what lies there now."""
    return hashlib.sha256(machine.ram.view(start, end - start)).hexdigest()
