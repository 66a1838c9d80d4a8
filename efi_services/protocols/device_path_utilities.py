"""EFI_DEVICE_PATH_UTILITIES_PROTOCOL (UEFI 2.10, section 10.5)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from efi_services.device_path import END, INSTANCE_END, first_instance
from efi_services.memory_map import MemoryType
from efi_services.service import function, protocol
from efi_services.types import UINT8, UINT16, Boolean, Buffer, Bytes, DevicePathBytes, InOut, Out, Pointer, read_path

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


@protocol("0379be4e-d706-437d-b037-edb82fb772a4", name="EFI_DEVICE_PATH_UTILITIES_PROTOCOL", spec="10.5")
class DevicePathUtilities:
    """Makes device paths out of others, in memory that the caller frees. What can't be done is NULL."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware

    @function("GetDevicePathSize", "10.5.2")
    def get_device_path_size(self, path: DevicePathBytes | None) -> int:
        """Count the bytes of a path, its end node included; 0 for NULL."""
        return len(path or b"")

    @function("DuplicateDevicePath", "10.5.3")
    def duplicate_device_path(self, path: DevicePathBytes | None) -> int:
        """Copy a path."""
        return self._put(path) if path else 0

    @function("AppendDevicePath", "10.5.4")
    def append_device_path(self, first: DevicePathBytes | None, second: DevicePathBytes | None) -> int:
        """Put a path behind another; NULL means an empty one."""
        return self._put((first or END)[: -len(END)] + (second or END))

    @function("AppendDeviceNode", "10.5.5")
    def append_device_node(self, path: DevicePathBytes | None, node: Buffer | None) -> int:
        """Put one node behind a path; NULL means none."""
        added = b""
        if node is not None:
            length = int.from_bytes(node.read(4)[2:], "little")
            if length < 4:
                return 0
            added = node.read(length)
        return self._put((path or END)[: -len(END)] + added + END)

    @function("AppendDevicePathInstance", "10.5.6")
    def append_device_path_instance(self, path: DevicePathBytes | None, instance: DevicePathBytes | None) -> int:
        """Make a path of several instances, of which the last is *instance*."""
        if instance is None:
            return 0
        return self._put(instance if path is None else path[: -len(END)] + INSTANCE_END + instance)

    @function("GetNextDevicePathInstance", "10.5.7")
    def get_next_device_path_instance(self, instance: InOut[Pointer], size: Out[Bytes] | None) -> int:
        """Copy the first instance, and move the pointer behind it; NULL behind the last."""
        at = instance.get()
        first = first_instance(read_path(self._firmware.memory, at)) if at else b""
        if size is not None:
            size.set(len(first))
        if not at:
            return 0
        last = first_instance(rest := read_path(self._firmware.memory, at)) == rest
        instance.set(0 if last else at + len(first))
        return self._put(first)

    @function("IsDevicePathMultiInstance", "10.5.9")
    def is_device_path_multi_instance(self, path: DevicePathBytes | None) -> Boolean:
        """Tell whether there is more than one instance."""
        return int(path is not None and first_instance(path) != path)

    @function("CreateDeviceNode", "10.5.8")
    def create_device_node(self, kind: UINT8, subtype: UINT8, length: UINT16) -> int:
        """Make a node whose data is zero."""
        return self._put(struct.pack("<BBH", kind, subtype, length).ljust(length, b"\0")) if length >= 4 else 0

    def _put(self, data: bytes) -> int:
        return self._firmware.store(data, MemoryType.BootServicesData, "device path")
