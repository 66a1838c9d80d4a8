"""Loaded images: from a file's bytes to a running program and out again (UEFI 2.10, section 7.4)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.device_path import file_of, length_of_match, nodes
from efi_services.guest_images import GuestImages
from efi_services.memory_map import PAGE, AllocateType, MemoryType, Owner
from efi_services.ports import MemoryFault
from efi_services.protocols.loaded_image import LoadedImage
from efi_services.status import EfiError, Status
from efi_services.types import read_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from efi_services.firmware import Firmware
    from efi_services.ports import ImageFile

APPLICATION, BOOT_SERVICE_DRIVER, RUNTIME_DRIVER = 10, 11, 12

#: Where each kind of image lies: the types of its code and of its data (section 7.2.1, table 7.5).
_MEMORY = {
    APPLICATION: (MemoryType.LoaderCode, MemoryType.LoaderData),
    BOOT_SERVICE_DRIVER: (MemoryType.BootServicesCode, MemoryType.BootServicesData),
    RUNTIME_DRIVER: (MemoryType.RuntimeServicesCode, MemoryType.RuntimeServicesData),
}


@dataclass(slots=True)
class Image:
    """One loaded image. Addresses are guest addresses."""

    handle: int
    name: str
    base: int
    size: int
    entry: int
    file: ImageFile
    interface: int
    path: int
    parent: int
    started: bool = False
    #: False for one that was loaded and may not be started (EFI_SECURITY_VIOLATION).
    trusted: bool = True
    left_by_exit: bool = False
    exit_data: tuple[int, int] = field(default=(0, 0))

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.base + self.size


class Images:
    """All loaded images and the stack of those that are running."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._images: dict[int, Image] = {}
        self.running: list[int] = []
        self.by_guests = GuestImages(firmware)
        self._loaded = 0

    def load(
        self,
        data: bytes,
        path: bytes,
        parent: int,
        name: str,
        options: bytes = b"",
        device: int = 0,
    ) -> Image:
        """Place an image in memory and make its handle; whether it may be is decided before.

        *path* is the whole device path of its file, *device* the handle of the device that the file is on.

        Raises:
            EfiError: UNSUPPORTED (no image, or for another machine), LOAD_ERROR (it can't lie where there is
                room), OUT_OF_RESOURCES.
        """
        firmware = self._firmware
        try:
            file = firmware.reader.read_image(data)
        except ValueError as why:
            firmware.finding("image-refused", f"{name}: {why}")
            raise EfiError(Status.UNSUPPORTED if not data.startswith(b"MZ") else Status.LOAD_ERROR) from None
        if firmware.abi.name not in (file.architecture, *file.compatible_entries):
            firmware.finding("image-refused", f"{name} is for {file.architecture}, this machine is {firmware.abi.name}")
            raise EfiError(Status.UNSUPPORTED)
        code, _ = _MEMORY[file.subsystem]
        pages = -(-file.size // PAGE)
        how = AllocateType.AnyPages if file.fixed_base is None else AllocateType.Address
        wanted, alignment = file.fixed_base or 0, max(file.alignment, PAGE)
        heap = -(-firmware.platform.heap_bytes // PAGE) if file.fixed_base is None else 0
        try:
            base = firmware.memory_map.allocate(how, code, pages + heap, wanted, alignment=alignment)
        except EfiError:
            if file.fixed_base is None:
                raise
            firmware.finding("image-refused", f"{name} can only lie at {wanted:#x}, where there is no room")
            raise EfiError(Status.LOAD_ERROR) from None
        if heap:
            self._give_heap(base + pages * PAGE, heap)
        try:
            contents = file.place(base)
        except ValueError as why:
            firmware.memory_map.free(base, pages)
            firmware.finding("image-refused", f"{name}: {why}")
            raise EfiError(Status.LOAD_ERROR) from None
        for segment in file.segments:
            firmware.mmu.protect(base + segment.offset, -(-segment.size // PAGE) * PAGE, segment.access)
            start = base + segment.offset
            firmware.observer.region_born(
                start, start + segment.size, "image", code.name, f"{name} {segment.name}", segment.declared
            )
        firmware.memory.write(base, contents.ljust(pages * PAGE, b"\0"))
        try:
            return self._install(file, base, pages * PAGE, path, parent, name, options, device)
        except EfiError:
            firmware.free_pages(base, pages)
            raise

    def _give_heap(self, start: int, pages: int) -> None:
        """Put behind an image what a program that oversteps its end can do no harm to."""
        firmware, kind = self._firmware, MemoryType.BootServicesData
        firmware.memory_map.free(start, pages)
        firmware.memory_map.allocate(AllocateType.Address, kind, pages, start, owner=Owner.FIRMWARE)
        firmware.observer.region_born(start, start + pages * PAGE, "firmware", kind.name, "heap")

    def _install(
        self,
        file: ImageFile,
        base: int,
        size: int,
        path: bytes,
        parent: int,
        name: str,
        options: bytes,
        device: int,
    ) -> Image:
        firmware = self._firmware
        code, data_type = _MEMORY[file.subsystem]
        path_at = firmware.store(path, MemoryType.BootServicesData, f"device path of {name}")
        # What an image is told of its file begins behind its device.
        file_at = path_at + self._device_part(path, device)
        options_at = 0
        if options:
            options_at = firmware.store(options, MemoryType.LoaderData, f"load options of {name}")
            firmware.observer.provided("load options", options_at, options)
        loaded = LoadedImage(
            parent_handle=parent,
            system_table=firmware.system_table,
            device_handle=device,
            file_path=file_at,
            load_options_size=len(options),
            load_options=options_at,
            image_base=base,
            image_size=file.size,
            image_code_type=code,
            image_data_type=data_type,
        )
        interface = firmware.store(
            loaded.pack(firmware.abi), MemoryType.BootServicesData, f"EFI_LOADED_IMAGE_PROTOCOL of {name}"
        )
        handle = firmware.install(0, guids.LOADED_IMAGE, interface)
        firmware.install(handle, guids.LOADED_IMAGE_DEVICE_PATH, path_at)
        entry = file.entry if file.architecture == firmware.abi.name else file.compatible_entries[firmware.abi.name]
        image = Image(handle, name, base, size, base + entry, file, interface, path_at, parent)
        self._images[handle] = image
        return image

    def _device_part(self, path: bytes, device: int) -> int:
        """How many bytes of a path are the device's own."""
        firmware = self._firmware
        try:
            own = read_path(firmware.memory, firmware.handles.get(device, guids.DEVICE_PATH).interface)
        except (EfiError, MemoryFault):
            return 0
        return length_of_match(own, path) or 0

    def name_for(self, path: bytes) -> str:
        """A name for an image that the guest loads: its file's, with a number where there is none or it is taken."""
        self._loaded += 1
        files = [each for each in nodes(path) if each[:2] == b"\4\4"]
        name = (file_of(files) or "").rpartition("\\")[2]
        if not name:
            return f"child-{self._loaded}"
        taken = {each.name for each in self._images.values()}
        return name if name not in taken else f"{name}-{self._loaded}"

    def get(self, handle: int) -> Image:
        """The image of a handle; raises INVALID_PARAMETER."""
        try:
            return self._images[handle]
        except KeyError:
            raise EfiError(Status.INVALID_PARAMETER) from None

    @property
    def current(self) -> Image | None:
        """The image that runs."""
        return self._images.get(self.running[-1]) if self.running else None

    def unload(self, image: Image) -> None:
        """Take an image out of memory and the handle database, unless it is gone: it may have unloaded itself."""
        firmware = self._firmware
        if self._images.get(image.handle) is not image:
            return
        del self._images[image.handle]
        firmware.observer.region_died(image.base, image.end)
        firmware.handles.forget(image.handle)
        # What the guest has freed already, against all rules, stays free.
        with suppress(EfiError):
            firmware.free_pages(image.base, image.size // PAGE)
        for address in (image.interface, image.path):
            with suppress(EfiError):
                firmware.discard(address)

    def name_at(self, address: int) -> str:
        """The name of the image that holds *address*; where none does, nothing."""
        for image in self._images.values():
            if image.base <= address < image.end:
                return image.name
        for guest in self.by_guests:
            if guest.base <= address < guest.end:
                return guest.name
        return ""

    def name_of_caller(self, address: int) -> str:
        """The name of the image whose code at *address* calls a service; one that is new is noticed by that."""
        name = self.name_at(address)
        found = None if name else self.by_guests.find(address)
        return found.name if found else name

    def __iter__(self) -> Iterator[Image]:
        return iter(self._images.values())
