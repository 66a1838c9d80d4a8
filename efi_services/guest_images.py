"""Images that a guest loads by itself, past LoadImage: systemd-stub, shim and others do so.

Such a loader places the image, then writes where it lies into a LoadedImage protocol, because the image asks for that
(UEFI 2.10, section 9.1). There it is found, when code that belongs to no known image calls a service.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.memory_map import Owner
from efi_services.ports import MemoryFault
from efi_services.protocols.loaded_image import LoadedImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from efi_services.firmware import Firmware
    from efi_services.ports import ImageFile

#: A hostile guest could go on telling of new ones for ever.
MOST = 64


@dataclass(frozen=True, slots=True)
class GuestImage:
    """Where such an image lies; addresses are guest addresses. *file* is known where a loaded image carries it."""

    name: str
    base: int
    end: int
    file: ImageFile | None


class GuestImages:
    """The images that guests loaded by themselves, as far as they have called a service."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._images: list[GuestImage] = []

    def find(self, caller: int) -> GuestImage | None:
        """The image that *caller*, an address in no other image, belongs to, if a LoadedImage protocol says so."""
        firmware = self._firmware
        size = LoadedImage.sizeof(firmware.abi)
        if len(self._images) >= MOST:
            return None
        for handle in firmware.handles.with_protocol(guids.LOADED_IMAGE):
            try:
                told = firmware.memory.read(firmware.handles.get(handle, guids.LOADED_IMAGE).interface, size)
            except MemoryFault:
                continue
            loaded = LoadedImage.unpack(firmware.abi, told)
            base, end = loaded.image_base, loaded.image_base + loaded.image_size
            if base <= caller < end and self._is_guests(base, end):
                return self._add(base, end)
        return None

    def forget(self, start: int, end: int) -> None:
        """Memory was freed: an image in it is gone."""
        if self._images:
            self._images = [each for each in self._images if each.end <= start or end <= each.base]

    def __iter__(self) -> Iterator[GuestImage]:
        return iter(self._images)

    def _is_guests(self, start: int, end: int) -> bool:
        """Whether all of a range is memory that guests allocated."""
        while start < end:
            here = self._firmware.memory_map.at(start)
            if here is None or here.owner not in (Owner.PAGES, Owner.POOL):
                return False
            start = here.end
        return True

    def _add(self, base: int, end: int) -> GuestImage:
        firmware = self._firmware
        carried = (inner for image in firmware.images for inner in image.file.carried)
        file = next((inner for inner in carried if inner.size == end - base), None)
        found = GuestImage(firmware.images.name_for(b""), base, end, file)
        self._images.append(found)
        firmware.observer.region_named(base, found.name)
        return found
