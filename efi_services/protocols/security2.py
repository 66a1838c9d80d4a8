"""EFI_SECURITY2_ARCH_PROTOCOL (UEFI PI 1.8, volume 2, section 12.9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.service import method, protocol
from efi_services.status import EfiError, Status
from efi_services.types import Boolean, Buffer, Bytes, DevicePathBytes

if TYPE_CHECKING:
    from efi_services.secure_boot.image_policy import ImagePolicy

#: More than this is no file.
MAX_FILE = 1 << 30


@protocol("94ab2f58-1438-4ef1-9152-18941a3a0e68", name="EFI_SECURITY2_ARCH_PROTOCOL", spec="PI, section 12.9.2")
class Security2:
    """Decides on images. LoadImage asks through this slot, so who replaces the function decides instead."""

    def __init__(self, policy: ImagePolicy) -> None:
        self._policy = policy

    @method("FileAuthentication", "12.9.2")
    def file_authentication(
        self, file: DevicePathBytes | None, file_buffer: Buffer | None, file_size: Bytes, boot_policy: Boolean
    ) -> Status:
        """Decide whether a file may be used as an image, and measure it; any device may be connected."""
        if file_buffer is None:
            if file is None:
                raise EfiError(Status.INVALID_PARAMETER)
            return Status.SUCCESS
        if file_size > MAX_FILE:
            raise EfiError(Status.OUT_OF_RESOURCES)
        self._policy.admit(file_buffer.read(file_size), file or b"", file_buffer.address)
        return Status.SUCCESS
