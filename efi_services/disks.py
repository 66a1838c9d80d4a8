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
from efi_services.tcg import firmware_events
from efi_services.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from efi_services.firmware import Firmware
    from efi_services.partitions import Partition
    from efi_services.ports import Disk, FileTree


@dataclass(frozen=True, slots=True)
class Found:
    """A disk or one of its partitions, and where it is: its device path without an end node.

    *tree* is its file system, where it has one.
    """

    extent: Extent
    path: bytes
    partition: Partition | None = None
    tree: FatTree | None = None


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system, and where it is: its device path without an end node."""

    path: bytes
    volume: Volume


def scan(number: int, disk: Disk, finding: Callable[[str, str], None]) -> tuple[Table, list[Found]]:
    """What is on a disk: its partition table, the disk itself, and its partitions in their order."""
    device = disk.device
    table = read_table(device, finding)
    whole = Extent(f"disk {number}", device, 0, device.blocks)
    if not table.partitions:
        return table, [Found(whole, disk.path, None, _file_system(whole, None, finding))]
    found = [Found(whole, disk.path)]
    for each in table.partitions:
        nested = [each] if each.inside is None else [each.inside, each]
        path = disk.path + b"".join(map(_node, nested))
        name = f"{whole.name} partition {' '.join(str(one.number) for one in nested)}"
        extent = Extent(name, device, each.start, each.blocks, is_partition=True)
        found.append(Found(extent, path, each, _file_system(extent, each, finding)))
    return table, found


def file_systems(disks: Iterable[Disk], finding: Callable[[str, str], None]) -> list[FileSystem]:
    """The file systems of all disks."""
    return [
        FileSystem(each.path, Volume(each.tree, finding))
        for number, disk in enumerate(disks)
        for each in scan(number, disk, finding)[1]
        if each.tree is not None
    ]


class Disks:
    """What the firmware found when it was switched on."""

    def __init__(self, firmware: Firmware, disks: tuple[Disk, ...]) -> None:
        self._firmware = firmware
        self._systems: dict[int, FileSystem] = {}
        self._tables: list[tuple[bytes, Table]] = []
        self._measured = False
        for number, disk in enumerate(disks):
            table, found = scan(number, disk, firmware.finding)
            self._tables.append((disk.path, table))
            for each in found:
                self._offer(each)

    @property
    def systems(self) -> tuple[FileSystem, ...]:
        """All file systems, in the order of the disks and of their partitions."""
        return tuple(self._systems.values())

    def at(self, handle: int) -> FileSystem | None:
        """The file system of a handle."""
        return self._systems.get(handle)

    def measure(self, path: bytes) -> None:
        """Measure the GPT of the disk that a file's path leads to, once in a machine's life, as EDK2 does."""
        table = next((each for disk, each in self._tables if path.startswith(disk)), None)
        if table is not None and table.header and not self._measured:
            self._measured = True
            firmware_events.partition_table(self._firmware.measurer, table.header, table.entries)

    def _offer(self, found: Found) -> None:
        firmware, extent = self._firmware, found.extent
        at = firmware.store(found.path + END, MemoryType.BootServicesData, f"device path of {extent.name}")
        handle = firmware.install(0, guids.DEVICE_PATH, at)
        firmware.install(handle, guids.BLOCK_IO, firmware.publish(BlockIo(firmware, extent)))
        firmware.install(handle, guids.DISK_IO, firmware.publish(DiskIo(firmware, extent)))
        if found.partition is not None:
            self._offer_information(handle, found.partition)
        if found.tree is not None:
            self.mount(handle, found.path, found.tree)

    def mount(self, handle: int, path: bytes, tree: FileTree) -> None:
        """Offer a file system on the handle of its device."""
        firmware = self._firmware
        system = FileSystem(path, Volume(tree, firmware.finding))
        interface = firmware.publish(SimpleFileSystem(firmware, system.volume))
        firmware.install(handle, guids.SIMPLE_FILE_SYSTEM, interface)
        self._systems[handle] = system

    def _offer_information(self, handle: int, partition: Partition) -> None:
        """EFI_PARTITION_INFO_PROTOCOL (section 13.18), which is only data."""
        head = struct.pack("<IIB7x", 0x1000, partition.scheme, partition.system)
        data = (head + partition.entry[:128]).ljust(16 + 128, b"\0")
        at = self._firmware.store(data, MemoryType.BootServicesData, "EFI_PARTITION_INFO_PROTOCOL")
        self._firmware.install(handle, guids.PARTITION_INFO, at)


def _node(partition: Partition) -> bytes:
    """The partition in a device path."""
    return hard_drive(partition.number, partition.start, partition.blocks, partition.signature, partition.scheme)


def _file_system(extent: Extent, partition: Partition | None, finding: Callable[[str, str], None]) -> FatTree | None:
    try:
        return FatTree(extent.device, extent.start, extent.blocks)
    except DiskError as why:
        # A partition of data is no news; the one that is there to boot from is.
        if partition is not None and partition.system:
            finding("disk-damaged", f"{extent.name}: {why}")
        return None
