"""EFI_DISK_IO_PROTOCOL (UEFI 2.10, section 13.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.protocols.block_io import MEDIA_ID, read_into
from efi_services.service import Member, method, protocol
from efi_services.status import EfiError, Status
from efi_services.types import UINT32, UINT64, Buffer, Bytes

if TYPE_CHECKING:
    from efi_services.extent import Extent
    from efi_services.firmware import Firmware

REVISION = 0x1_0000


@protocol("ce345171-ba0b-11d2-8e4f-00a0c969723b", name="EFI_DISK_IO_PROTOCOL", spec="13.7")
class DiskIo:
    """The bytes of a disk or of a partition, which can be read and not written."""

    revision = REVISION

    def __init__(self, firmware: Firmware, extent: Extent) -> None:
        self._firmware = firmware
        self._extent = extent

    revision_member = Member("Revision", UINT64, value="revision")

    @method("ReadDisk", "13.7.2")
    def read_disk(self, media: UINT32, offset: UINT64, size: Bytes, buffer: Buffer | None) -> Status:
        """Read bytes from any place."""
        if media != MEDIA_ID:
            raise EfiError(Status.MEDIA_CHANGED)
        if not size:
            return Status.SUCCESS
        if buffer is None or offset + size > self._extent.blocks * self._extent.block_size:
            raise EfiError(Status.INVALID_PARAMETER)
        read_into(self._firmware, self._extent, offset, size, buffer)
        return Status.SUCCESS

    @method("WriteDisk", "13.7.3")
    def write_disk(self, media: UINT32, offset: UINT64, size: Bytes, buffer: Buffer | None) -> Status:
        """Refuse: the device is write-protected."""
        raise EfiError(Status.WRITE_PROTECTED)
