"""The disks of the machine: their handles, and the file systems that are found on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.device_path import END
from efi_services.memory_map import MemoryType
from efi_services.protocols.simple_file_system import SimpleFileSystem
from efi_services.volume import Volume

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.ports import Disk


class Disks:
    """What the firmware found when it was switched on."""

    def __init__(self, firmware: Firmware, disks: tuple[Disk, ...]) -> None:
        self._firmware = firmware
        #: Volumes by the handles that they are on, in the order of the disks.
        self.volumes: dict[int, Volume] = {}
        for disk in disks:
            self._mount(disk.path, Volume(disk.tree, firmware.finding))

    def _mount(self, path: bytes, volume: Volume) -> None:
        firmware = self._firmware
        at = firmware.store(path + END, MemoryType.BootServicesData, "device path of a disk")
        handle = firmware.install(0, guids.DEVICE_PATH, at)
        firmware.install(handle, guids.SIMPLE_FILE_SYSTEM, firmware.publish(SimpleFileSystem(firmware, volume)))
        self.volumes[handle] = volume
