"""The kernel that a stub was to hand over to: where it lies by its file's own headers, and the bytes it should have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from payloads.errors import NotRunnable
from payloads.identify import identify
from payloads.linux import ZBOOT_COMPRESSIONS
from payloads.model import Arm32ZImageHeader, Arm64ImageHeader, BzImageHeader, RiscvImageHeader, ZbootHeader
from payloads.pe import section_bytes
from shim.handoff import vmlinux, zimage
from shim.handoff.decompress import APPENDED, DamagedError, UndecodableError, unpack

if TYPE_CHECKING:
    from payloads import Payload


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel in memory; *why* is the sentence that says why nothing is known of it, where nothing is.

    *damaged* where that is because what the file has packed is.
    """

    base: int = 0
    size: int = 0
    alignment: int = 1
    why: str = ""
    elf: vmlinux.Vmlinux | None = None
    image: Payload | None = None
    damaged: bool = False

    @property
    def extent(self) -> tuple[int, int]:
        """Where it lies, and its size: what comes before its first byte is nobody's."""
        before = min(each.offset for each in self.elf.segments) if self.elf is not None else 0
        return self.base + before, self.size - before

    @property
    def known(self) -> bool:
        """Whether its file tells where it lies."""
        return not self.why


def find(kernel: Payload | None, entry: int, started_by: Payload | None = None) -> Kernel:
    """The kernel that begins at *entry*, if it is what the file holds.

    *started_by* is the file of the image that started the one that jumped. Where that is a zboot image, the kernel is
    what its file has packed, rather than what it has made of that.
    """
    if kernel is None:
        return Kernel(why="the file of the image that jumped to the kernel is not known")
    try:
        if started_by is not None and isinstance(started_by.linux, ZbootHeader):
            return _find(_unpacked(started_by, started_by.linux), entry)
        return _find(kernel, entry)
    except (UndecodableError, NotRunnable) as why:
        return Kernel(why=f"the kernel in the file can't be read: {why}", damaged=isinstance(why, DamagedError))


def _find(kernel: Payload, entry: int) -> Kernel:
    match kernel.linux:
        case BzImageHeader() as header:
            elf = vmlinux.read(kernel.data, header)
            return Kernel(entry - elf.entry, elf.size, header.kernel_alignment, elf=elf)
        case Arm32ZImageHeader():
            elf = zimage.read(kernel.data)
            # arch/arm/Kconfig, ARM_PATCH_PHYS_VIRT: memory begins at a multiple of 2 MiB.
            return Kernel(entry - elf.entry, elf.size, 2 << 20, elf=elf)
        case ZbootHeader() as header:
            # The unpacker enters by the branch in the Image's header (primary_entry_offset, stext_offset).
            return _image(_unpacked(kernel, header), entry, 0)
        case Arm64ImageHeader(declared_kernel_entry=offset) | RiscvImageHeader(declared_kernel_entry=offset):
            return _image(kernel, entry, offset)
    return _image(kernel, entry, None)


def _image(kernel: Payload, entry: int, offset: int | None) -> Kernel:
    """An uncompressed Image that is entered at an offset."""
    match kernel.linux:
        case Arm64ImageHeader(image_size=size) if offset is not None:
            # An EFI stub moves the kernel to where its segments are aligned (EFI_KIMG_ALIGN).
            return Kernel(entry - offset, size, 64 << 10, image=kernel)
        case RiscvImageHeader(image_size=size) if offset is not None:
            return Kernel(entry - offset, size, 2 << 20, image=kernel)
    return Kernel(why=f"of a file of kind {kernel.kind} it is not known where its kernel lies")


def _unpacked(carrier: Payload, header: ZbootHeader) -> Payload:
    """What a zboot image carries, unpacked here."""
    at, form = header.payload_offset, ZBOOT_COMPRESSIONS[header.compression]
    # The size that the build appends behind it is no part of it by the header; the readers of most forms expect it.
    packed = carrier.data[at : at + header.payload_size + (0 if form == "gzip" else APPENDED)]
    return identify(unpack(packed, form, vmlinux.MOST_BYTES), carrier.name)


def differences(image: Payload, memory: memoryview) -> tuple[int | None, int]:
    """The first byte at which *memory* is not the image, in what may not be written; and how many differ in the rest.

    A plain Image is stub and kernel in one: the stub writes to its own variables in it.
    """
    changed = 0
    for section in image.image.sections:
        there = memory[section.virtual_address :]
        file = section_bytes(memoryview(image.data), section)[: len(there)]
        places = np.flatnonzero(np.asarray(file) != np.asarray(there[: len(file)]))
        if section.writable:
            changed += len(places)
        elif len(places):
            return section.virtual_address + int(places[0]), changed
    return None, changed
