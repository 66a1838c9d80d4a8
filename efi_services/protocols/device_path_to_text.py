"""EFI_DEVICE_PATH_TO_TEXT_PROTOCOL (UEFI 2.10, section 10.6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.device_path_text import node_to_text, to_text
from efi_services.memory_map import MemoryType
from efi_services.service import function, protocol
from efi_services.types import Boolean, Buffer, DevicePathBytes

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


@protocol("8b843e20-8132-4852-90cc-551a4e4a7f1c", name="EFI_DEVICE_PATH_TO_TEXT_PROTOCOL", spec="10.6.2")
class DevicePathToText:
    """Tells device paths in words, which are the same for display and for parsing."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware

    @function("ConvertDeviceNodeToText", "10.6.3")
    def convert_device_node_to_text(self, node: Buffer | None, display_only: Boolean, shortcuts: Boolean) -> int:
        """Tell one node, in a string that the caller frees; NULL for NULL."""
        if node is None:
            return 0
        length = int.from_bytes(node.read(4)[2:], "little")
        return self._put(node_to_text(node.read(length))) if length >= 4 else 0

    @function("ConvertDevicePathToText", "10.6.4")
    def convert_device_path_to_text(
        self, path: DevicePathBytes | None, display_only: Boolean, shortcuts: Boolean
    ) -> int:
        """Tell a whole path, in a string that the caller frees; NULL for NULL."""
        return 0 if path is None else self._put(to_text(path))

    def _put(self, text: str) -> int:
        data = (text + "\0").encode("utf-16-le", "replace")
        return self._firmware.store(data, MemoryType.BootServicesData, "text of a device path")
