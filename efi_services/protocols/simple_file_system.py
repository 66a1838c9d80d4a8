"""EFI_SIMPLE_FILE_SYSTEM_PROTOCOL (UEFI 2.10, section 13.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.protocols.file import File
from efi_services.service import Member, method, protocol
from efi_services.status import Status
from efi_services.types import UINT64, Out, Pointer

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.volume import Volume

REVISION = 0x1_0000


@protocol("964e5b22-6459-11d2-8e39-00a0c969723b", name="EFI_SIMPLE_FILE_SYSTEM_PROTOCOL", spec="13.4")
class SimpleFileSystem:
    """A volume whose files can be read. Nothing on it can be changed."""

    revision = REVISION

    def __init__(self, firmware: Firmware, volume: Volume) -> None:
        self._firmware = firmware
        self.volume = volume

    revision_member = Member("Revision", UINT64, value="revision")

    @method("OpenVolume", "13.4.2")
    def open_volume(self, root: Out[Pointer]) -> Status:
        """Open the root directory."""
        root.set(File.open_at(self._firmware, self.volume, self.volume.root))
        return Status.SUCCESS
