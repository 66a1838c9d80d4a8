"""EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL (UEFI 2.10, section 10.6.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.device_path_text import from_text, node_from_text
from efi_services.memory_map import MemoryType
from efi_services.service import function, protocol
from efi_services.types import CStr16

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.firmware import Firmware


@protocol("05c99a21-c70f-4ad2-8a5f-35df3343f51e", name="EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL", spec="10.6.5")
class DevicePathFromText:
    """Makes device paths of words; those that are no known node's are a file's path."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware

    @function("ConvertTextToDeviceNode", "10.6.6")
    def convert_text_to_device_node(self, text: CStr16 | None) -> int:
        """Make one node, in memory that the caller frees; NULL where the text makes no sense."""
        return self._put(node_from_text, text)

    @function("ConvertTextToDevicePath", "10.6.7")
    def convert_text_to_device_path(self, text: CStr16 | None) -> int:
        """Make a path, in memory that the caller frees; NULL where the text makes no sense."""
        return self._put(from_text, text)

    def _put(self, make: Callable[[str], bytes], text: str | None) -> int:
        if not text:
            return 0
        try:
            made = make(text)
        except ValueError:
            return 0
        return self._firmware.store(made, MemoryType.BootServicesData, "device path")
