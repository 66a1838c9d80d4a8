"""Placing PE images: sections at their addresses, zeroes behind their data, relocations applied."""

from __future__ import annotations

import struct
from contextlib import suppress
from functools import cached_property

import payloads
from efi_services.ports import Access, Segment
from payloads.pe import compatible_entries

PAGE = 4096


class LoadableImage:
    """An image file that the firmware can place (the `ImageFile` port)."""

    def __init__(self, payload: payloads.Payload) -> None:
        self.payload = payload
        self._data = payload.data
        self._image = image = payload.image
        self.architecture = image.machine.value
        self.subsystem = image.subsystem
        self.size = image.size_of_image
        self.alignment = image.section_alignment
        self.entry = image.entry_point
        self.compatible_entries = {
            machine.value: entry for machine, entry in compatible_entries(payload.data, image).items()
        }
        self.kernel_entry: int | None = getattr(payload.linux, "declared_kernel_entry", None)
        self.fixed_base = image.image_base if image.relocations_stripped else None
        self.segments = self._segments()

    @property
    def symbols(self) -> list[tuple[int, str]]:
        """The functions that it has symbols for: offsets and names."""
        return payloads.function_symbols(self._data)

    @cached_property
    def carried(self) -> tuple[LoadableImage, ...]:
        """The images for the same machine that its sections hold."""
        from payloads.pe import section_bytes

        found = []
        for section in self._image.sections:
            with suppress(payloads.PayloadError):
                inner = payloads.identify(section_bytes(self._data, section), section.name)
                if inner.machine is self._image.machine:
                    found.append(LoadableImage(inner))
        return tuple(found)

    def place(self, base: int) -> bytes:
        """The image as it lies in memory at *base*; raises ValueError where it can't lie there."""
        image = self._image
        if self.fixed_base is not None and base != self.fixed_base:
            raise ValueError(f"it has no relocations and must lie at {image.image_base:#x}")
        # A kernel is large: it is copied once.
        file = memoryview(self._data)
        pieces: list[bytes | memoryview] = [file[: image.size_of_headers]]
        end = image.size_of_headers
        for section in image.sections:
            # An empty one may lie anywhere.
            size = min(section.raw_size, section.virtual_size)
            if not size:
                continue
            pieces += bytes(section.virtual_address - end), file[section.raw_offset : section.raw_offset + size]
            end = section.virtual_address + size
        memory = b"".join((*pieces, bytes(image.size_of_image - end)))
        delta = base - image.image_base
        return self._moved(bytearray(memory), delta) if delta and image.relocations else memory

    def _moved(self, memory: bytearray, delta: int) -> bytes:
        for relocation in self._image.relocations:
            at, width = relocation.rva, relocation.kind.width
            if relocation.kind is payloads.RelocationKind.THUMB_MOV32:
                memory[at : at + width] = move_immediates(bytes(memory[at : at + width]), delta)
                continue
            value = int.from_bytes(memory[at : at + width], "little") + delta
            memory[at : at + width] = (value & ((1 << (8 * width)) - 1)).to_bytes(width, "little")
        return bytes(memory)

    def _segments(self) -> tuple[Segment, ...]:
        image = self._image
        # Sections that share a page can't have permissions of their own, and an image that doesn't say that it is
        # NX-compatible may execute its data: then all of it may do everything, as firmware treats such images.
        strict = image.section_alignment % PAGE == 0 and image.nx_compat
        allowed = Access.READ if strict else Access.RWX
        segments = [Segment("headers", 0, image.size_of_headers, allowed, Access.READ)]
        for section in image.sections:
            access = Access.NONE
            if section.readable:
                access |= Access.READ
            if section.writable:
                access |= Access.READ | Access.WRITE
            if section.executable:
                access |= Access.READ | Access.EXECUTE
            segments.append(
                Segment(
                    section.name,
                    section.virtual_address,
                    max(section.virtual_size, 1),
                    access if strict else Access.RWX,
                    access,
                )
            )
        return tuple(segments)


def move_immediates(pair: bytes, delta: int) -> bytes:
    """MOVW and MOVT with an address that is higher by *delta* (DDI 0406, sections A8.8.102 and A8.8.106, T3 and T1)."""
    halves = struct.unpack("<4H", pair)
    value = 0
    for n, (first, second) in enumerate((halves[:2], halves[2:])):
        value |= ((first & 0xF) << 12 | (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF) << 16 * n
    value += delta
    moved = []
    for n, (first, second) in enumerate((halves[:2], halves[2:])):
        part = value >> 16 * n
        moved.append(first & 0xFBF0 | part >> 12 & 0xF | (part >> 11 & 1) << 10)
        moved.append(second & 0x8F00 | (part >> 8 & 7) << 12 | part & 0xFF)
    return struct.pack("<4H", *moved)


class PeReader:
    """The `ImageReader` port: reads with ``payloads``, whose refusals it passes on as ValueError.

    What is *known* isn't read again.
    """

    def __init__(self, known: payloads.Payload | None = None) -> None:
        self._known = known

    def read_image(self, data: bytes) -> LoadableImage:
        """The image in *data*; raises ValueError with the reason when it is none."""
        if self._known is not None and data is self._known.data:
            return LoadableImage(self._known)
        try:
            return LoadableImage(payloads.identify(data, "image"))
        except payloads.PayloadError as why:
            raise ValueError(str(why)) from None
