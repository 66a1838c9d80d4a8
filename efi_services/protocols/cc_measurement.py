"""EFI_CC_MEASUREMENT_PROTOCOL (UEFI 2.10, section 38.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.protocols.tcg2 import Version
from efi_services.service import method, protocol
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.tcg.ledger import FORMAT_2
from efi_services.tcg.registers import mr_of_pcr
from efi_services.tcg.requests import hash_log_extend
from efi_services.types import UINT8, UINT32, UINT64, Boolean, Buffer, Flags32, Flags64, Out, PhysicalAddress

if TYPE_CHECKING:
    from efi_services.abi import Abi
    from efi_services.ports import Memory
    from efi_services.tcg.ledger import Ledger
    from efi_services.tcg.measurer import Measurer

#: EFI_CC_TYPE, by the kind of registers.
CC_TYPES = {"tdx": 2, "cca": 4}


@struct
class CcType(Struct):
    """EFI_CC_TYPE."""

    type: UINT8
    sub_type: UINT8


@struct
class CcCapability(Struct):
    """EFI_CC_BOOT_SERVICE_CAPABILITY."""

    size: UINT8
    structure_version: Version
    protocol_version: Version
    hash_algorithms: Flags32
    supported_event_logs: Flags32
    cc_type: CcType


@protocol("96751a3d-72f4-41a6-a794-ed5d0e67ae6b", name="EFI_CC_MEASUREMENT_PROTOCOL", spec="38.2")
class CcMeasurement:
    """The measurement registers of confidential computing, and their log."""

    def __init__(self, abi: Abi, memory: Memory, measurer: Measurer, ledger: Ledger) -> None:
        self._abi = abi
        self._memory = memory
        self._measurer = measurer
        self._ledger = ledger

    @method("GetCapability", "38.2.2")
    def get_capability(self, capability: Buffer) -> Status:
        """Tell versions, algorithm, log and the kind of registers."""
        size = CcCapability.sizeof(self._abi)
        (room,) = capability.read(1)
        if room < size:
            capability.write(bytes([size]))
            raise EfiError(Status.BUFFER_TOO_SMALL)
        ledger = self._ledger
        made = CcCapability(
            size=size,
            structure_version=Version(1, 0),
            protocol_version=Version(1, 0),
            hash_algorithms=sum(each.bit for each in ledger.algorithms),
            supported_event_logs=FORMAT_2,
            cc_type=CcType(CC_TYPES[ledger.kind], 0),
        )
        capability.write(made.pack(self._abi))
        return Status.SUCCESS

    @method("GetEventLog", "38.2.3")
    def get_event_log(
        self,
        form: UINT32,
        location: Out[PhysicalAddress] | None,
        last_entry: Out[PhysicalAddress] | None,
        truncated: Out[Boolean] | None,
    ) -> Status:
        """Tell where the log is; events after that are final events too."""
        start, last, incomplete = self._ledger.find(form)
        if location is not None:
            location.set(start)
        if last_entry is not None:
            last_entry.set(last)
        if truncated is not None:
            truncated.set(incomplete)
        return Status.SUCCESS

    @method("HashLogExtendEvent", "38.2.4")
    def hash_log_extend_event(self, flags: Flags64, data: PhysicalAddress, length: UINT64, event: Buffer) -> Status:
        """Measure bytes, or an image by its Authenticode digest."""
        hash_log_extend(self._measurer, self._ledger, self._memory, flags, data, length, event)
        return Status.SUCCESS

    @method("MapPcrToMrIndex", "38.2.5")
    def map_pcr_to_mr_index(self, pcr: UINT32, index: Out[UINT32]) -> Status:
        """Tell which register stands for a PCR."""
        found = mr_of_pcr(pcr)
        if found is None:
            raise EfiError(Status.INVALID_PARAMETER)
        index.set(found)
        return Status.SUCCESS
