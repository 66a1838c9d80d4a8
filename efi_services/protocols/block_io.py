"""EFI_BLOCK_IO_PROTOCOL, revision 3 (UEFI 2.10, section 13.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.memory_map import MemoryType
from efi_services.ports import DiskError
from efi_services.service import Member, method, protocol
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import UINT32, UINT64, Boolean, Buffer, Bytes, Pointer

if TYPE_CHECKING:
    from efi_services.extent import Extent
    from efi_services.firmware import Firmware

REVISION = 0x2_001F
MEDIA_ID = 0
#: Bytes that are moved at once.
STEP = 16 << 20


@struct
class Media(Struct):
    """EFI_BLOCK_IO_MEDIA."""

    media_id: UINT32
    removable_media: Boolean
    media_present: Boolean
    logical_partition: Boolean
    read_only: Boolean
    write_caching: Boolean
    block_size: UINT32
    io_align: UINT32
    last_block: UINT64
    lowest_aligned_lba: UINT64
    logical_blocks_per_physical_block: UINT32
    optimal_transfer_length_granularity: UINT32


@protocol("964e5b21-6459-11d2-8e39-00a0c969723b", name="EFI_BLOCK_IO_PROTOCOL", spec="13.9")
class BlockIo:
    """The blocks of a disk or of a partition, which can be read and not written."""

    revision = REVISION

    def __init__(self, firmware: Firmware, extent: Extent) -> None:
        self._firmware = firmware
        self._extent = extent
        media = Media(
            media_id=MEDIA_ID,
            removable_media=False,
            media_present=True,
            logical_partition=extent.is_partition,
            read_only=True,
            write_caching=False,
            block_size=extent.block_size,
            io_align=0,
            last_block=extent.blocks - 1,
            lowest_aligned_lba=0,
            logical_blocks_per_physical_block=1,
            optimal_transfer_length_granularity=0,
        )
        self.media = firmware.store(media.pack(firmware.abi), MemoryType.BootServicesData, f"media of {extent.name}")

    revision_member = Member("Revision", UINT64, value="revision")
    media_member = Member("Media", Pointer, value="media")

    @method("Reset", "13.9.2")
    def reset(self, extended: Boolean) -> Status:
        """Bring the device to its first state, in which it always is."""
        return Status.SUCCESS

    @method("ReadBlocks", "13.9.3")
    def read_blocks(self, media: UINT32, block: UINT64, size: Bytes, buffer: Buffer | None) -> Status:
        """Read whole blocks."""
        if media != MEDIA_ID:
            raise EfiError(Status.MEDIA_CHANGED)
        if not size:
            return Status.SUCCESS
        unit = self._extent.block_size
        if size % unit:
            raise EfiError(Status.BAD_BUFFER_SIZE)
        if buffer is None or block + size // unit > self._extent.blocks:
            raise EfiError(Status.INVALID_PARAMETER)
        read_into(self._firmware, self._extent, block * unit, size, buffer)
        return Status.SUCCESS

    @method("WriteBlocks", "13.9.4")
    def write_blocks(self, media: UINT32, block: UINT64, size: Bytes, buffer: Buffer | None) -> Status:
        """Refuse: the device is write-protected."""
        raise EfiError(Status.WRITE_PROTECTED)

    @method("FlushBlocks", "13.9.5")
    def flush_blocks(self) -> Status:
        """Write what was kept back, which is nothing."""
        return Status.SUCCESS


def read_into(firmware: Firmware, extent: Extent, offset: int, size: int, buffer: Buffer) -> None:
    """Give the guest bytes of a device; raises EfiError DEVICE_ERROR."""
    done = 0
    while done < size:
        step = min(STEP, size - done)
        try:
            data = extent.bytes_at(offset + done, step)
        except DiskError as why:
            firmware.finding("disk-damaged", str(why))
            raise EfiError(Status.DEVICE_ERROR) from None
        firmware.memory.write(buffer.address + done, data)
        firmware.observer.provided(f"{extent.name} at {offset + done:#x}", buffer.address + done, data)
        done += step
