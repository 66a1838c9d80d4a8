"""What measures: the TPM, the registers of confidential computing, both or neither, as the platform has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.memory_map import PAGE, AllocateType, MemoryType, Owner
from efi_services.platform import PlatformError
from efi_services.ports import Access
from efi_services.status import EfiError, Status
from efi_services.tcg import algorithms
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.area import FinalEvents, LogArea
from efi_services.tcg.client import TpmClient
from efi_services.tcg.commands import TpmError
from efi_services.tcg.description import describe
from efi_services.tcg.events import Event, type_name
from efi_services.tcg.ledger import Areas, Ledger, MeasurementRegisters
from efi_services.tcg.registers import PCRS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from efi_services.firmware import Firmware
    from efi_services.platform import Measuring
    from efi_services.ports import Authenticode, TpmTransport
    from efi_services.resume import Resumed


@dataclass(frozen=True, slots=True)
class Extension:
    """A register was extended: of which set (tpm, tdx, cca), which one, and with what.

    *type* is the event's, or the name of the TPM's command where the guest sent one itself.
    """

    kind: str
    index: int
    type: str
    digests: dict[Algorithm, bytes]
    description: str


class TpmRegisters:
    """PCRs, in whatever answers commands."""

    def __init__(self, client: TpmClient, active: tuple[Algorithm, ...]) -> None:
        self._client = client
        self._active = active

    def extend(self, index: int, digests: dict[Algorithm, bytes]) -> None:
        """Extend a PCR in all banks; raises EfiError DEVICE_ERROR."""
        try:
            self._client.extend(index, digests)
        except TpmError:
            raise EfiError(Status.DEVICE_ERROR) from None

    def resume(self, values: Mapping[int, Mapping[Algorithm, bytes]]) -> None:
        """Let PCRs hold what they held when they were read last."""
        self._client.transport.resume(values)

    def read(self) -> dict[int, dict[Algorithm, bytes]]:
        """What all PCRs hold; raises TpmError."""
        banks = {each: self._client.read(each, range(PCRS)) for each in self._active}
        return {index: {each: values[index] for each, values in banks.items()} for index in range(PCRS)}


class Measurer:
    """Extends registers and writes logs, for the firmware itself and for the protocols."""

    def __init__(self, firmware: Firmware, transport: TpmTransport | None, authenticode: Authenticode | None) -> None:
        self._firmware = firmware
        self._authenticode = authenticode
        self.client: TpmClient | None = None
        self.tpm: Ledger | None = None
        self.cc: Ledger | None = None
        #: All banks that the TPM could have.
        self.implemented: tuple[Algorithm, ...] = ()
        #: Whether it is this firmware that has booted the machine: else it has nothing to measure itself.
        self._boots = True
        self.platform = platform = firmware.platform
        if platform.tpm is not None and transport is not None:
            self.client = TpmClient(transport)
            self.tpm = self._tpm(platform.tpm, self.client)
        if platform.cc is not None:
            settings = platform.cc
            registers = MeasurementRegisters(settings.algorithms[0])
            self.cc = self._begin(Ledger(settings, settings.algorithms, registers), settings)

    @property
    def ledgers(self) -> tuple[Ledger, ...]:
        """The sets of registers that there are."""
        return tuple(each for each in (self.tpm, self.cc) if each is not None)

    def resume(self, resumed: Resumed) -> None:
        """Go on from what an earlier kernel left; from now on only the guest measures."""
        self._boots = False
        for ledger in self.ledgers:
            ledger.registers.resume(resumed.registers.get(ledger.kind, {}))
            for event in resumed.events.get(ledger.kind, ()):
                try:
                    ledger.write(event)
                except EfiError as error:
                    self.refuse(f"{type_name(event.type)} of the log that was left: {error}")

    def measure(self, pcr: int, kind: int, hashed: bytes, data: bytes | None = None) -> None:
        """Measure *hashed* for the firmware wherever there is a register for *pcr*; *data* says what it is."""
        self.measure_digests(pcr, kind, lambda ledger: algorithms.digests(ledger.algorithms, hashed), data or hashed)

    def measure_digests(
        self, pcr: int, kind: int, digests: Callable[[Ledger], dict[Algorithm, bytes]], data: bytes
    ) -> None:
        """As `measure`, with digests that are not simply those of bytes."""
        for ledger in self.ledgers:
            index = ledger.index_of(pcr)
            if index is not None and ledger.can_extend(index):
                self.measure_into(ledger, Event(index, kind, digests(ledger), data))

    def measure_into(self, ledger: Ledger, event: Event) -> None:
        """Measure for the firmware, which goes on where that fails."""
        if not self._boots:
            return
        try:
            self.log_extend(ledger, event)
        except EfiError as error:
            self.refuse(f"{type_name(event.type)} into register {event.index}: {error}")

    def refuse(self, why: str) -> None:
        """Note that something that should have been measured was not, or not completely."""
        self._firmware.finding("measurement-failed", why)

    def log_extend(self, ledger: Ledger, event: Event, *, write: bool = True) -> None:
        """Extend a register and write it down; an event that only informs is just written.

        Raises:
            EfiError: DEVICE_ERROR, or VOLUME_FULL where the register was extended and a log has no room.
        """
        if event.extends:
            ledger.extend(event)
            self.tell(ledger, event.index, type_name(event.type), dict(event.digests), describe(event.type, event.data))
        if write:
            ledger.write(event)

    def tell(self, ledger: Ledger, index: int, kind: str, digests: dict[Algorithm, bytes], words: str) -> None:
        """Tell the observer of an extended register."""
        self._firmware.observer.measured(Extension(ledger.kind, index, kind, digests, words))

    def image_digests(self, ledger: Ledger, image: bytes) -> dict[Algorithm, bytes]:
        """Digests of an image without its signatures; raises ValueError where it is no PE file."""
        if self._authenticode is None:
            raise ValueError("nobody knows Authenticode here")
        return {each: self._authenticode.digest(image, each.label) for each in ledger.algorithms}

    def _tpm(self, settings: Measuring, client: TpmClient) -> Ledger:
        try:
            client.startup()
            active, self.implemented = client.banks()
        except TpmError as refusal:
            raise PlatformError(f"the TPM can't be used: it answers {refusal}") from None
        if not active:
            raise PlatformError("the TPM has no PCR bank of an algorithm that is known here")
        return self._begin(Ledger(settings, active, TpmRegisters(client, active)), settings)

    def _begin(self, ledger: Ledger, settings: Measuring) -> Ledger:
        """Lay the logs out, and publish the one that goes on after it was asked for."""
        name, table = "TPM", guids.TCG2_FINAL_EVENTS_TABLE
        if ledger.kind != "tpm":
            name, table = "CC", guids.CC_FINAL_EVENTS_TABLE
        memory, size = self._firmware.memory, settings.log_bytes
        old = None
        if ledger.kind == "tpm" and Algorithm.SHA1 in ledger.algorithms:
            old = LogArea(memory, self._room(size, f"{name} event log, older form"), size)
        log = LogArea(memory, self._room(size, f"{name} event log"), size)
        at = self._room(settings.final_bytes, f"{name} final events")
        final = FinalEvents(memory, at, settings.final_bytes)
        ledger.begin(Areas(log, final, old))
        self._firmware.configuration.install(table, at)
        return ledger

    def _room(self, size: int, name: str) -> int:
        """Pages that the operating system keeps, as EDK2 has its logs since they are named in ACPI tables."""
        pages = -(-size // PAGE)
        kind = MemoryType.ACPIMemoryNVS
        start = self._firmware.memory_map.allocate(AllocateType.AnyPages, kind, pages, owner=Owner.FIRMWARE)
        self._firmware.observer.region_born(start, start + pages * PAGE, "firmware", kind.name, name, Access.RW)
        return start
