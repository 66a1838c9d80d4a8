"""The kernel that a stub was to hand over to: where it lies by its file's own headers, and the bytes it should have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from payloads.errors import NotRunnable
from payloads.identify import identify
from payloads.linux import ZBOOT_COMPRESSIONS
from payloads.model import Arm32ZImageHeader, Arm64ImageHeader, BzImageHeader, RiscvImageHeader, ZbootHeader
from shim.handoff import vmlinux, zimage
from shim.handoff.decompress import UndecodableError, unpack
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
    def extent(self) -> tuple[int, int]:
        """Where it lies, and its size: what comes before its first byte is nobody's."""
        before = min(each.offset for each in self.elf.segments) if self.elf is not None else 0
        return self.base + before, self.size - before

    @property
    def known(self) -> bool:
        """Whether its file tells where it lies."""
        return not self.why


def find(kernel: Payload | None, entry: int) -> Kernel:
    """The kernel that begins at *entry*, if it is what the file holds."""
    if kernel is None:
        return Kernel(why="the file of the image that jumped to the kernel is not known")
    try:
        return _find(kernel, entry)
    except (UndecodableError, NotRunnable) as why:
        return Kernel(why=f"the kernel in the file can't be read: {why}")


def _find(kernel: Payload, entry: int) -> Kernel:
    match kernel.linux:
        case BzImageHeader() as header:
            elf = vmlinux.read(kernel.data, header)
            return Kernel(entry - elf.entry, elf.size, header.kernel_alignment, elf=elf)
        case Arm32ZImageHeader():
            elf = zimage.read(kernel.data)
            # arch/arm/Kconfig, ARM_PATCH_PHYS_VIRT: memory begins at a multiple of 2 MiB.
            return Kernel(entry - elf.entry, elf.size, 2 << 20, elf=elf)
        case ZbootHeader(payload_offset=at, payload_size=size, compression=name):
            form = ZBOOT_COMPRESSIONS[name]
            inner = identify(unpack(kernel.data[at : at + size], form, vmlinux.MOST_BYTES), kernel.name)
            if isinstance(inner.linux, ZbootHeader):
                raise UndecodableError("it holds another compressed image")
            return _find(inner, entry)
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
