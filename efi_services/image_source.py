"""Where LoadImage gets an image's file from (UEFI 2.10, section 7.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services import device_path, guids, status
from efi_services.device_path import END
from efi_services.memory_map import PAGE, AllocateType, MemoryType
from efi_services.service import Calls, GuestCall
from efi_services.status import EfiError, Status
from efi_services.types import read_path

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.types import Guid

#: A file larger than this is no image.
MAX_IMAGE = 1 << 30


@dataclass(frozen=True, slots=True)
class Source:
    """An image's file in guest memory, its whole device path, and the handle of the device that it is on.

    *pages* are the firmware's own, which go when the image is loaded.
    """

    path: bytes
    device: int
    address: int
    size: int
    pages: int = 0

    def release(self, fw: Firmware) -> None:
        """Give the memory back, if it is the firmware's."""
        if self.pages:
            fw.free_pages(self.address, self.pages)


def in_memory(fw: Firmware, path: bytes | None, address: int, size: int) -> Source:
    """A file that the caller has in memory; *path* says where it came from."""
    if path is None:
        path = device_path.memory_mapped(MemoryType.LoaderData, address, address + size - 1) + END
    try:
        device, _ = _nearest(fw, guids.DEVICE_PATH, path)
    except EfiError:
        device = 0
    return Source(path, device, address, size)


def fetch(fw: Firmware, path: bytes, boot_policy: int) -> Calls[Source]:
    """Read the file that *path* names, from a file system or by whoever offers LoadFile2 or LoadFile for it.

    Raises:
        EfiError: NOT_FOUND, or what the file system says.
    """
    try:
        handle, matched = _nearest(fw, guids.SIMPLE_FILE_SYSTEM, path)
    except EfiError:
        handle, matched = 0, 0
    name = device_path.file_of(list(device_path.nodes(path[matched:]))) if handle else None
    if name:
        return _from_file_system(fw, path, handle, name)
    for protocol in (guids.LOAD_FILE,) if boot_policy else (guids.LOAD_FILE2, guids.LOAD_FILE):
        try:
            handle, matched = _nearest(fw, protocol, path)
        except EfiError:
            continue
        return (yield from _from_load_file(fw, path, handle, matched, protocol, boot_policy))
    raise EfiError(Status.NOT_FOUND)


def _nearest(fw: Firmware, protocol: Guid, path: bytes) -> tuple[int, int]:
    return fw.handles.nearest(protocol, path, lambda at: read_path(fw.memory, at))


def _from_file_system(fw: Firmware, path: bytes, handle: int, name: str) -> Source:
    system = fw.disks.at(handle)
    if system is None:
        fw.finding("image-refused", f"{name} is on a file system of the guest's own, which LoadImage doesn't read")
        raise EfiError(Status.UNSUPPORTED)
    node = system.volume.locate(system.volume.root, name).node
    if node.directory or not node.size or node.size > MAX_IMAGE:
        raise EfiError(Status.LOAD_ERROR)
    source = _room(fw, path, handle, node.size)
    try:
        fw.memory.write(source.address, system.volume.read(node, 0, node.size))
    except EfiError:
        source.release(fw)
        raise
    return source


def _room(fw: Firmware, path: bytes, handle: int, size: int) -> Source:
    pages = -(-size // PAGE)
    address = fw.allocate_pages(AllocateType.AnyPages, MemoryType.BootServicesData, pages)
    return Source(path, handle, address, size, pages)


def _from_load_file(
    fw: Firmware, path: bytes, handle: int, matched: int, protocol: Guid, boot_policy: int
) -> Calls[Source]:
    """Ask for the size, then for the file."""
    interface = fw.handles.get(handle, protocol).interface
    function = fw.abi.unpack(fw.memory.read(interface, fw.abi.pointer_bytes))
    kind = MemoryType.BootServicesData
    path_at, size_at = (
        fw.store(path[matched:], kind, "path of a file"),
        fw.store(fw.abi.pack(0), kind, "size of a file"),
    )
    source: Source | None = None
    try:
        returned = yield GuestCall(function, (interface, path_at, boot_policy, size_at, 0))
        size = fw.abi.unpack(fw.memory.read(size_at, fw.abi.pointer_bytes))
        asked = status.decode(returned, fw.abi.pointer_bytes)
        if asked == Status.NOT_FOUND:
            raise EfiError(Status.NOT_FOUND)
        if asked != Status.BUFFER_TOO_SMALL or not 0 < size <= MAX_IMAGE:
            raise EfiError(Status.LOAD_ERROR)
        source = _room(fw, path, handle, size)
        returned = yield GuestCall(function, (interface, path_at, boot_policy, size_at, source.address))
        if returned:
            raise EfiError(Status.LOAD_ERROR)
    except BaseException:
        if source is not None:
            source.release(fw)
        raise
    finally:
        fw.discard(path_at)
        fw.discard(size_at)
    return source
