"""EFI_SECURITY_ARCH_PROTOCOL (UEFI PI 1.8, volume 2, section 12.9.1)."""

from __future__ import annotations

from efi_services.service import method, protocol
from efi_services.status import Status
from efi_services.types import UINT32, DevicePathBytes


@protocol("a46423e3-4617-49f1-b9ff-d1bfa9115839", name="EFI_SECURITY_ARCH_PROTOCOL", spec="PI, section 12.9.1")
class Security:
    """Decides on files of firmware volumes, of which there are none; others are the younger protocol's."""

    @method("FileAuthenticationState", "12.9.1")
    def file_authentication_state(self, authentication_status: UINT32, file: DevicePathBytes) -> Status:
        """Let a file of a firmware volume pass: its section's authentication has been decided on before."""
        return Status.SUCCESS
