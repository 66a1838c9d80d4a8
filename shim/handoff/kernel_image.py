"""The kernel that a stub was to hand over to: where it lies by its file's own headers, and the bytes it should have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from payloads.model import Arm64ImageHeader, BzImageHeader, RiscvImageHeader
from shim.handoff import vmlinux
from shim.handoff.decompress import UndecodableError
from shim.loader import LoadableImage

if TYPE_CHECKING:
    from payloads import Payload


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel in memory; *why* is the sentence that says why nothing is known of it, where nothing is."""

    base: int = 0
    size: int = 0
    alignment: int = 1
    why: str = ""
    elf: vmlinux.Vmlinux | None = None
    image: Payload | None = None

    @property
    def known(self) -> bool:
        """Whether its file tells where it lies."""
        return not self.why


def find(kernel: Payload | None, entry: int) -> Kernel:
    """The kernel that begins at *entry*, if it is what the file holds."""
    if kernel is None:
        return Kernel(why="the file of the image that jumped to the kernel is not known")
    match kernel.linux:
        case BzImageHeader() as header:
            try:
                elf = vmlinux.read(kernel.data, header)
            except UndecodableError as why:
                return Kernel(why=f"the kernel in the file can't be read: {why}")
            return Kernel(entry - elf.entry, elf.size, header.kernel_alignment, elf=elf)
        case Arm64ImageHeader() as header if header.declared_kernel_entry is not None:
            # An EFI stub moves the kernel to where its segments are aligned (EFI_KIMG_ALIGN).
            return Kernel(entry - header.declared_kernel_entry, header.image_size, 64 << 10, image=kernel)
        case RiscvImageHeader() as header if header.declared_kernel_entry is not None:
            return Kernel(entry - header.declared_kernel_entry, header.image_size, 2 << 20, image=kernel)
    return Kernel(why=f"of a file of kind {kernel.kind} it is not known where its kernel lies")


def differences(image: Payload, memory: memoryview) -> tuple[int | None, int]:
    """The first byte at which *memory* is not the image, in what may not be written; and how many differ in the rest.

    A plain Image is stub and kernel in one: the stub writes to its own variables in it.
    """
    place = LoadableImage(image).place(image.image.image_base)
    size = min(len(place), len(memory))
    wrong = np.frombuffer(place, np.uint8, size) != np.frombuffer(memory, np.uint8, size)
    changed = 0
    for section in image.image.sections:
        span = slice(section.virtual_address, section.virtual_address + min(section.raw_size, section.virtual_size))
        places = np.flatnonzero(wrong[span])
        if section.writable:
            changed += len(places)
        elif len(places):
            return section.virtual_address + int(places[0]), changed
    return None, changed
