"""EFI_TCG2_PROTOCOL (TCG EFI Protocol Specification, chapter 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.service import method, protocol
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.tcg import commands
from efi_services.tcg.commands import TpmError
from efi_services.tcg.requests import extended_by, hash_log_extend
from efi_services.types import UINT8, UINT16, UINT32, UINT64, Boolean, Buffer, Flags32, Flags64, Out, PhysicalAddress

if TYPE_CHECKING:
    from efi_services.abi import Abi
    from efi_services.ports import Memory
    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.client import TpmClient
    from efi_services.tcg.ledger import Ledger
    from efi_services.tcg.measurer import Measurer


@struct
class Version(Struct):
    """EFI_TCG2_VERSION."""

    major: UINT8
    minor: UINT8


@struct
class Tcg2Capability(Struct):
    """EFI_TCG2_BOOT_SERVICE_CAPABILITY."""

    size: UINT8
    structure_version: Version
    protocol_version: Version
    hash_algorithms: Flags32
    supported_event_logs: Flags32
    tpm_present: Boolean
    max_command_size: UINT16
    max_response_size: UINT16
    manufacturer: UINT32
    number_of_pcr_banks: UINT32
    active_pcr_banks: Flags32


@dataclass(frozen=True, slots=True)
class Tpm:
    """The TPM, as the firmware uses it: its registers and logs, and who takes commands."""

    ledger: Ledger
    client: TpmClient
    implemented: tuple[Algorithm, ...]
    manufacturer: int


@protocol("607f766c-7455-42be-930b-e4d76db2720f", name="EFI_TCG2_PROTOCOL", spec="TCG EFI Protocol, section 6.1")
class Tcg2:
    """The TPM: measuring, its logs, its banks, and commands to it."""

    def __init__(self, abi: Abi, memory: Memory, measurer: Measurer, tpm: Tpm) -> None:
        self._abi = abi
        self._memory = memory
        self._measurer = measurer
        self._tpm = tpm
        #: Banks that the guest wants from the next boot on, which no run has.
        self.requested_banks: int | None = None

    @method("GetCapability", "6.4")
    def get_capability(self, capability: Buffer) -> Status:
        """Tell versions, algorithms, logs and banks; who knows version 1.0 only gets that part of it."""
        (room,) = capability.read(1)
        whole = self._capability((1, 1))
        size = Tcg2Capability.sizeof(self._abi)
        if room >= size:
            capability.write(whole.pack(self._abi))
            return Status.SUCCESS
        old = Tcg2Capability.offsetof(self._abi, "number_of_pcr_banks")
        if room >= old:
            capability.write(bytes([old]) + self._capability((1, 0)).pack(self._abi)[1:old])
            return Status.SUCCESS
        capability.write(bytes([size]))
        raise EfiError(Status.BUFFER_TOO_SMALL)

    @method("GetEventLog", "6.5")
    def get_event_log(
        self,
        form: UINT32,
        location: Out[PhysicalAddress] | None,
        last_entry: Out[PhysicalAddress] | None,
        truncated: Out[Boolean] | None,
    ) -> Status:
        """Tell where the log is; events after that are final events too."""
        start, last, incomplete = self._tpm.ledger.find(form)
        if location is not None:
            location.set(start)
        if last_entry is not None:
            last_entry.set(last)
        if truncated is not None:
            truncated.set(incomplete)
        return Status.SUCCESS

    @method("HashLogExtendEvent", "6.6")
    def hash_log_extend_event(self, flags: Flags64, data: PhysicalAddress, length: UINT64, event: Buffer) -> Status:
        """Measure bytes, or an image by its Authenticode digest."""
        hash_log_extend(self._measurer, self._tpm.ledger, self._memory, flags, data, length, event)
        return Status.SUCCESS

    @method("SubmitCommand", "6.7")
    def submit_command(self, input_size: UINT32, block: Buffer, output_size: UINT32, output: Buffer) -> Status:
        """Send a command to the TPM. What it extends gets into no log."""
        if 0 in (input_size, output_size) or max(input_size, output_size) > commands.MAX_BYTES:
            raise EfiError(Status.INVALID_PARAMETER)
        tpm = self._tpm
        if not tpm.ledger.present:
            raise EfiError(Status.DEVICE_ERROR)
        command = block.read(input_size)
        response = tpm.client.transport.transmit(command)
        done = extended_by(command, response)
        if done is not None:
            name, pcr, digests = done
            active = {each: digest for each, digest in digests.items() if each in tpm.ledger.algorithms}
            if tpm.ledger.can_extend(pcr):
                self._measurer.tell(tpm.ledger, pcr, name, active, "a command of the guest, in no log")
        if len(response) > output_size:
            raise EfiError(Status.BUFFER_TOO_SMALL)
        output.write(response)
        return Status.SUCCESS

    @method("GetActivePcrBanks", "6.8")
    def get_active_pcr_banks(self, active: Out[Flags32]) -> Status:
        """Tell which banks there are."""
        active.set(_bits(self._tpm.ledger.algorithms))
        return Status.SUCCESS

    @method("SetActivePcrBanks", "6.9")
    def set_active_pcr_banks(self, active: Flags32) -> Status:
        """Ask for other banks, which the next boot would have: a run ends before it."""
        if active == 0 or active & ~_bits(self._tpm.implemented):
            raise EfiError(Status.INVALID_PARAMETER)
        self.requested_banks = None if active == _bits(self._tpm.ledger.algorithms) else active
        return Status.SUCCESS

    @method("GetResultOfSetActivePcrBanks", "6.10")
    def get_result_of_set_active_pcr_banks(self, present: Out[UINT32], response: Out[UINT32]) -> Status:
        """Tell what became of the last boot's request: it made none."""
        present.set(0)
        response.set(0)
        return Status.SUCCESS

    def _capability(self, version: tuple[int, int]) -> Tcg2Capability:
        tpm = self._tpm
        return Tcg2Capability(
            size=Tcg2Capability.sizeof(self._abi),
            structure_version=Version(*version),
            protocol_version=Version(*version),
            hash_algorithms=_bits(tpm.implemented),
            supported_event_logs=tpm.ledger.formats,
            tpm_present=tpm.ledger.present,
            max_command_size=commands.MAX_BYTES,
            max_response_size=commands.MAX_BYTES,
            manufacturer=tpm.manufacturer,
            number_of_pcr_banks=len(tpm.implemented),
            active_pcr_banks=_bits(tpm.ledger.algorithms),
        )


def offer_tcg2(abi: Abi, memory: Memory, measurer: Measurer) -> Tcg2 | None:
    """The protocol, where the platform has a TPM."""
    ledger, client = measurer.tpm, measurer.client
    if ledger is None or client is None:
        return None
    try:
        manufacturer = client.manufacturer()
    except TpmError:
        manufacturer = 0
    return Tcg2(abi, memory, measurer, Tpm(ledger, client, measurer.implemented, manufacturer))


def _bits(algorithms: tuple[Algorithm, ...]) -> int:
    return sum(each.bit for each in algorithms)
