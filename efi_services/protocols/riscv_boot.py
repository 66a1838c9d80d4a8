"""RISCV_EFI_BOOT_PROTOCOL (RISC-V UEFI Protocol Specification 1.0): on which hart the firmware runs."""

from __future__ import annotations

from efi_services.service import Member, method, protocol
from efi_services.status import Status
from efi_services.types import UINT64, UINTN, Out

REVISION = 0x1_0000
#: A machine has one hart.
BOOT_HART = 0


@protocol(
    "ccd15fec-6f73-4eec-8395-3e69e4b940bf",
    name="RISCV_EFI_BOOT_PROTOCOL",
    spec="RISC-V UEFI Protocol 1.0, section 2.1",
)
class RiscvBoot:
    """The hart that the payload runs on; only a RISC-V machine has it."""

    revision_member = Member("Revision", UINT64, value="revision")
    revision = REVISION

    @method("GetBootHartId", "2.1.1")
    def get_boot_hart_id(self, hart: Out[UINTN]) -> Status:
        """Its number: the kernel wants it in a register."""
        hart.set(BOOT_HART)
        return Status.SUCCESS
