"""The disks of the machine: handles for them, their partitions, and the file systems that are found there."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.device_path import END, hard_drive
from efi_services.extent import Extent
from efi_services.fat import FatTree
from efi_services.memory_map import MemoryType
from efi_services.partitions import Table, read_table
from efi_services.ports import DiskError
from efi_services.protocols.block_io import BlockIo
from efi_services.protocols.disk_io import DiskIo
from efi_services.protocols.simple_file_system import SimpleFileSystem
from efi_services.volume import Volume

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.partitions import Partition
    from efi_services.ports import Disk


@dataclass(frozen=True, slots=True)
class Mounted:
    """A file system: its handle, the device path of that without an end node, and the disk's partition table."""

    handle: int
    path: bytes
    volume: Volume
    table: Table
    partition: Partition | None


class Disks:
    """What the firmware found when it was switched on."""

    def __init__(self, firmware: Firmware, disks: tuple[Disk, ...]) -> None:
        self._firmware = firmware
        #: In the order of the disks, and on each of its partitions.
        self.mounted: list[Mounted] = []
        for number, disk in enumerate(disks):
            self._attach(number, disk)

    def _attach(self, number: int, disk: Disk) -> None:
        device = disk.device
        whole = Extent(f"disk {number}", device, 0, device.blocks)
        handle = self._offer(disk.path, whole)
        table = read_table(device, self._firmware.finding)
        if not table.partitions:
            self._mount(handle, disk.path, whole, table, None)
        for each in table.partitions:
            path = disk.path + hard_drive(each.number, each.start, each.blocks, each.signature, each.scheme)
            extent = Extent(
                f"disk {number} partition {each.number}", device, each.start, each.blocks, is_partition=True
            )
            inner = self._offer(path, extent)
            self._offer_information(inner, each)
            self._mount(inner, path, extent, table, each)

    def _offer(self, path: bytes, extent: Extent) -> int:
        firmware = self._firmware
        at = firmware.store(path + END, MemoryType.BootServicesData, f"device path of {extent.name}")
        handle = firmware.install(0, guids.DEVICE_PATH, at)
        firmware.install(handle, guids.BLOCK_IO, firmware.publish(BlockIo(firmware, extent)))
        firmware.install(handle, guids.DISK_IO, firmware.publish(DiskIo(firmware, extent)))
        return handle

    def _offer_information(self, handle: int, partition: Partition) -> None:
        """EFI_PARTITION_INFO_PROTOCOL (section 13.18), which is only data."""
        head = struct.pack("<IIB7x", 0x1000, partition.scheme, partition.system)
        data = (head + partition.entry[:128]).ljust(16 + 128, b"\0")
        at = self._firmware.store(data, MemoryType.BootServicesData, "EFI_PARTITION_INFO_PROTOCOL")
        self._firmware.install(handle, guids.PARTITION_INFO, at)

    def _mount(self, handle: int, path: bytes, extent: Extent, table: Table, partition: Partition | None) -> None:
        firmware = self._firmware
        try:
            tree = FatTree(extent.device, extent.start, extent.blocks)
        except DiskError as why:
            # A partition of data is no news; the one that is there to boot from is.
            if partition is not None and partition.system:
                firmware.finding("disk-damaged", f"{extent.name}: {why}")
            return
        volume = Volume(tree, firmware.finding)
        firmware.install(handle, guids.SIMPLE_FILE_SYSTEM, firmware.publish(SimpleFileSystem(firmware, volume)))
        self.mounted.append(Mounted(handle, path, volume, table, partition))
