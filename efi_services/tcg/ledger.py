"""One set of measurement registers with its logs: what extends it, and what is written down of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from efi_services.platform import PlatformError
from efi_services.status import EfiError, Status
from efi_services.tcg import log
from efi_services.tcg.registers import PCRS, mr_of_pcr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from efi_services.platform import Measuring
    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.area import FinalEvents, LogArea
    from efi_services.tcg.events import Event

#: EFI_TCG2_EVENT_LOG_FORMAT: the log with SHA-1 only, and the crypto-agile one.
FORMAT_1_2, FORMAT_2 = 1, 2


class Registers(Protocol):
    """Measurement registers that can be extended."""

    def extend(self, index: int, digests: dict[Algorithm, bytes]) -> None:
        """Extend a register; raises EfiError DEVICE_ERROR."""

    def resume(self, values: Mapping[int, Mapping[Algorithm, bytes]]) -> None:
        """Let registers hold what they held when they were read last."""

    def read(self) -> dict[int, dict[Algorithm, bytes]]:
        """What all of them hold."""


class MeasurementRegisters:
    """The registers of confidential computing: four that can be extended, behind one that is not ours (MR 0)."""

    def __init__(self, algorithm: Algorithm) -> None:
        self._algorithm = algorithm
        self._values = {index: bytes(algorithm.size) for index in range(1, 5)}

    def extend(self, index: int, digests: dict[Algorithm, bytes]) -> None:
        """Extend MR *index*."""
        self._values[index] = self._algorithm.extend(self._values[index], digests[self._algorithm])

    def resume(self, values: Mapping[int, Mapping[Algorithm, bytes]]) -> None:
        """Let registers hold these values."""
        self._values |= {index: value[self._algorithm] for index, value in values.items()}

    def read(self) -> dict[int, dict[Algorithm, bytes]]:
        """What all of them hold."""
        return {index: {self._algorithm: value} for index, value in self._values.items()}


@dataclass(frozen=True, slots=True)
class Areas:
    """Where a set's logs are in guest memory: crypto-agile, final events, and the older form where SHA-1 is used."""

    log: LogArea
    final: FinalEvents
    old: LogArea | None


class Ledger:
    """Registers and their logs in step: an event is extended first, and then written down."""

    def __init__(self, settings: Measuring, algorithms: tuple[Algorithm, ...], registers: Registers) -> None:
        self.kind = settings.kind
        self._told = {each.index for each in settings.events}
        #: What registers hold in the end, by what the platform knows; raises PlatformError.
        self.known = {index: _in_banks(index, value, algorithms) for index, value in settings.known.items()}
        self.header_index = settings.header_index
        self.algorithms = algorithms
        self.registers = registers
        #: What the crypto-agile log holds.
        self.events: list[Event] = []
        self._areas: Areas | None = None
        #: Whether somebody has asked for the crypto-agile log: from then on, events are final events too.
        self._asked = False
        #: A TPM that failed once is not used any more, as with EDK2.
        self.present = True

    @property
    def areas(self) -> Areas:
        """Its logs in guest memory."""
        assert self._areas is not None
        return self._areas

    def begin(self, areas: Areas) -> None:
        """Keep the logs in *areas*."""
        self._areas = areas
        areas.log.append(log.header(self.algorithms, index=self.header_index))
        # The header is no event: a log with nothing else has no last entry.
        areas.log.last = 0

    def index_of(self, pcr: int) -> int | None:
        """The register that stands for a PCR."""
        return pcr if self.kind == "tpm" else mr_of_pcr(pcr)

    def can_extend(self, index: int) -> bool:
        """Whether there is such a register, and events may be extended into it."""
        return index < PCRS if self.kind == "tpm" else 1 <= index <= 4

    @property
    def separated(self) -> tuple[int, ...]:
        """The registers that get a separator when the boot begins; that of PCR 7 came before."""
        # The mapping has PCRs 2 to 6 in one register, which EDK2 separates once.
        return tuple(range(7)) if self.kind == "tpm" else (2,)

    def extend(self, event: Event) -> None:
        """Extend the register; raises EfiError DEVICE_ERROR."""
        if not self.present:
            raise EfiError(Status.DEVICE_ERROR)
        try:
            self.registers.extend(event.index, event.digests)
        except EfiError:
            self.present = False
            raise

    def write(self, event: Event) -> None:
        """Write the event down; raises EfiError VOLUME_FULL where one of the logs has no room for it."""
        entry = log.encode_event(event, self.algorithms)
        areas = self.areas
        complete = areas.log.append(entry)
        if complete:
            self.events.append(event)
            if self._asked:
                complete = areas.final.append(entry)
        if areas.old is not None and not areas.old.append(log.encode_old_event(event)):
            complete = False
        if not complete:
            raise EfiError(Status.VOLUME_FULL)

    def find(self, form: int) -> tuple[int, int, bool]:
        """Where a log is, where its last entry is, and whether it lacks some; raises INVALID_PARAMETER."""
        area = {FORMAT_1_2: self.areas.old, FORMAT_2: self.areas.log}.get(form)
        if area is None:
            raise EfiError(Status.INVALID_PARAMETER)
        if not self.present:
            return 0, 0, False
        if form == FORMAT_2:
            self._asked = True
        return area.address, area.last, area.truncated

    @property
    def formats(self) -> int:
        """The forms in which there is a log."""
        return FORMAT_2 | (FORMAT_1_2 if self.areas.old is not None else 0)

    @property
    def unknown(self) -> tuple[int, ...]:
        """The registers that hold more on a real machine: its firmware's own part is not known."""
        told = self._told | self.known.keys()
        return tuple(each for each in ((0, 2) if self.kind == "tpm" else (0, 1)) if each not in told)


def _in_banks(index: int, value: Mapping[Algorithm, bytes], banks: tuple[Algorithm, ...]) -> dict[Algorithm, bytes]:
    missing = [each.label for each in banks if each not in value]
    if missing:
        raise PlatformError(f"the value of register {index} is not known by {', '.join(missing)}")
    return {each: value[each] for each in banks}
