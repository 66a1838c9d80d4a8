"""Image services (UEFI 2.10, section 7.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import guids, image_source, status
from efi_services.dispatch import ImageExits
from efi_services.memory_map import MemoryType
from efi_services.protocols.loaded_image import LoadedImage
from efi_services.service import Calls, GuestCall, service
from efi_services.status import EfiError, Status
from efi_services.tcg import firmware_events
from efi_services.types import UINTN, Boolean, Buffer, Bytes, DevicePathBytes, Handle, Out, Pointer, StatusCode

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.image_source import Source
    from efi_services.images import Image


@service("LoadImage", "7.4.1")
def load_image(
    fw: Firmware,
    boot_policy: Boolean,
    parent: Handle,
    device_path: DevicePathBytes | None,
    source: Buffer | None,
    source_size: Bytes,
    image: Out[Handle],
) -> Calls[StatusCode]:
    """Load an image from memory, or by its device path from a file system, or through LoadFile2 or LoadFile."""
    fw.images.get(parent)
    if source is None:
        if device_path is None:
            raise EfiError(Status.NOT_FOUND)
        found = yield from image_source.fetch(fw, device_path, boot_policy)
    else:
        if source_size == 0:
            raise EfiError(Status.LOAD_ERROR)
        if source_size > image_source.MAX_IMAGE:
            raise EfiError(Status.OUT_OF_RESOURCES)
        # A pointer to nowhere is the caller's fault, not that of whoever is asked about the file.
        source.read(1)
        found = image_source.in_memory(fw, device_path, source.address, source_size)
    name, path_at = fw.images.name_for(found.path), device_path.address if device_path is not None else 0
    loaded, verdict = yield from load_from(fw, found, parent, name, b"", boot_policy, path_at)
    image.set(loaded.handle if loaded is not None else 0)
    return verdict


def load_from(
    fw: Firmware, source: Source, parent: int, name: str, options: bytes, boot_policy: int = 0, path_at: int = 0
) -> Calls[tuple[Image | None, int]]:
    """Ask whether a file may be loaded, and load it; gives the image, if there is one, and the verdict.

    *path_at* is where the caller has the file's device path, if it has one.
    """
    try:
        verdict = yield from authenticate(fw, source.path, source.address, source.size, boot_policy, path_at)
        if status.is_error(verdict) and verdict != Status.SECURITY_VIOLATION:
            return None, verdict
        data = fw.memory.read(source.address, source.size)
        loaded = fw.images.load(data, source.path, parent, name, options, source.device)
    finally:
        source.release(fw)
    loaded.trusted = not status.is_error(verdict)
    return loaded, verdict


def authenticate(fw: Firmware, path: bytes, source: int, size: int, boot_policy: int, path_at: int = 0) -> Calls[int]:
    """Ask the function in the slot of EFI_SECURITY2_ARCH_PROTOCOL about a file in guest memory; gives its status.

    The guest may have put its own function there, as systemd's stub does, which knows its file by where LoadImage was
    told that path and contents are: so it gets the caller's own path, as with EDK2.
    """
    at = path_at or fw.store(path, MemoryType.BootServicesData, "device path of a file")
    try:
        function = fw.abi.unpack(fw.memory.read(fw.security2, fw.abi.pointer_bytes))
        returned = yield GuestCall(function, (fw.security2, at, source, size, boot_policy))
    finally:
        if not path_at:
            fw.discard(at)
    return status.decode(returned, fw.abi.pointer_bytes)


@service("StartImage", "7.4.2")
def start_image(
    fw: Firmware, image: Handle, exit_data_size: Out[Bytes] | None, exit_data: Out[Pointer] | None
) -> Calls[StatusCode]:
    """Run an image; the result is what it returned or gave to Exit."""
    target = fw.images.get(image)
    if target.started:
        raise EfiError(Status.INVALID_PARAMETER)
    if not target.trusted:
        raise EfiError(Status.SECURITY_VIOLATION)
    result = yield from run_image(fw, target)
    size, address = target.exit_data
    if exit_data_size is not None:
        exit_data_size.set(size)
    if exit_data is not None:
        exit_data.set(address)
    if target.file.subsystem == 10 or status.is_error(result):
        fw.images.unload(target)
    return result


def run_image(fw: Firmware, image: Image) -> Calls[int]:
    """Call the image's entry point, and give its status in the 64-bit form."""
    image.started = True
    fw.images.running.append(image.handle)
    level = fw.events.tpl
    returned = yield GuestCall(image.entry, (image.handle, fw.system_table), image=image.handle)
    fw.events.tpl = level
    while fw.images.running.pop() != image.handle:
        pass
    return status.decode(returned, fw.abi.pointer_bytes)


@service("Exit", "7.4.5")
def exit_image(
    fw: Firmware, image: Handle, exit_status: StatusCode, exit_data_size: Bytes, exit_data: Pointer
) -> Status:
    """Leave an image; an image that was never started is unloaded instead."""
    leaving = fw.images.get(image)
    if not leaving.started:
        fw.images.unload(leaving)
        return Status.SUCCESS
    if fw.images.running[-1:] != [image]:
        raise EfiError(Status.INVALID_PARAMETER)
    if exit_status and exit_data:
        # The parent frees what it gets; the child's own buffer may be gone with it.
        copy = fw.allocate_pool(MemoryType.BootServicesData, exit_data_size, "firmware", "exit data")
        fw.memory.copy(copy, exit_data, exit_data_size)
        leaving.exit_data = exit_data_size, copy
    leaving.left_by_exit = True
    raise ImageExits(image, exit_status)


@service("UnloadImage", "7.4.3")
def unload_image(fw: Firmware, image: Handle) -> Calls[StatusCode]:
    """Remove an image; one that runs or ran decides itself, through its LoadedImage's Unload function."""
    target = fw.images.get(image)
    if target.started:
        at = fw.handles.get(image, guids.LOADED_IMAGE).interface
        loaded = LoadedImage.unpack(fw.abi, fw.memory.read(at, LoadedImage.sizeof(fw.abi)))
        if not loaded.unload:
            raise EfiError(Status.UNSUPPORTED)
        answer = yield GuestCall(loaded.unload, (image,))
        if answer:
            return status.decode(answer, fw.abi.pointer_bytes)
    fw.images.unload(target)
    return Status.SUCCESS


@service("ExitBootServices", "7.4.6")
def exit_boot_services(fw: Firmware, image: Handle, map_key: UINTN) -> Calls[Status]:
    """End boot services, if *map_key* is of the newest memory map.

    *image* is not looked at, and the specification names no error for it: an image that shim loaded has a handle of
    shim's making.
    """
    fw.events.stop_timers()
    if not fw.exit_announced:
        fw.exit_announced = True
        fw.events.signal_group(guids.EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES)
        yield from fw.events.dispatch()
    if map_key != fw.memory_map.key:
        firmware_events.exit_boot_services(fw.measurer, failed=True)
        raise EfiError(Status.INVALID_PARAMETER)
    # Its success too: there is nothing left that could fail, and soon nobody to measure it.
    firmware_events.exit_boot_services(fw.measurer, failed=False)
    fw.events.signal_group(guids.EVENT_GROUP_EXIT_BOOT_SERVICES)
    yield from fw.events.dispatch()
    fw.leave_boot_services()
    return Status.SUCCESS
