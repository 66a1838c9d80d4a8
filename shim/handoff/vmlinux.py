"""The ELF kernel that an x86 bzImage carries: where its parts lie once it is loaded, and what relocation changes there.

Sources: arch/x86/boot/compressed/misc.c (parse_elf, handle_relocations), Documentation/arch/x86/boot.rst.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from shim.handoff.decompress import UndecodableError, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from payloads.model import BzImageHeader

#: A kernel's own room is what init_size says; Debian's largest have a quarter of this.
MOST_BYTES = 256 << 20
_MOST_SEGMENTS = 64
_PT_LOAD = 1

Places: TypeAlias = "npt.NDArray[np.int64]"


@dataclass(frozen=True, slots=True)
class Segment:
    """A part that is loaded: where, counted from the load address, its bytes, and how long it is in memory."""

    offset: int
    data: memoryview
    size: int


@dataclass(frozen=True, slots=True)
class Vmlinux:
    """A kernel that has been unpacked. *entry* is where it begins, counted from the load address.

    *relocations* are the lists that end the payload, the last first, as places counted from there too.
    """

    entry: int
    segments: tuple[Segment, ...]
    relocations: tuple[Places, ...]

    @property
    def size(self) -> int:
        """Bytes from the load address to the end of the last segment."""
        return max(each.offset + each.size for each in self.segments)

    def difference(self, memory: memoryview) -> int | None:
        """The first byte at which *memory*, which begins at the load address, is not this kernel; None: it is.

        One shift explains all relocated places, or they are different.
        """
        found = np.frombuffer(memory, np.uint8, self.size)
        # Places of 32 bits, those that are counted backwards, those of 64 bits; from Linux 6.15 on, no backward ones.
        with_three = self._first_wrong(found, ((4, 1), (4, -1), (8, 1)))
        if with_three is None:
            return None
        with_two = self._first_wrong(found, ((4, 1), (8, 1)))
        return None if with_two is None else max(with_three, with_two)

    def _first_wrong(self, found: npt.NDArray[np.uint8], lists: tuple[tuple[int, int], ...]) -> int | None:
        """The first byte that is another, where the relocations are of these widths and directions."""
        plain = np.zeros(self.size, np.uint8)
        for each in self.segments:
            plain[each.offset : each.offset + len(each.data)] = np.frombuffer(each.data, np.uint8)
        shift = _shift(plain, found, self.relocations[0]) if self.relocations else 0
        for places, (width, sign) in zip(self.relocations, lists, strict=False):
            _add(plain, places, width, sign * shift)
        for each in self.segments:
            span = slice(each.offset, each.offset + len(each.data))
            wrong = np.flatnonzero(plain[span] != found[span])
            if len(wrong):
                return each.offset + int(wrong[0])
        return None


def read(data: bytes, header: BzImageHeader) -> Vmlinux:
    """The kernel in a bzImage; raises UndecodableError with the reason where it can't be read."""
    start = (header.setup_sects + 1) * 512 + header.payload_offset
    packed = data[start : start + header.payload_length]
    return parse(unpack(packed, header.compression, min(header.init_size, MOST_BYTES)), header.pref_address)


def parse(data: bytes, preferred: int) -> Vmlinux:
    """The kernel in an unpacked payload, an ELF file with relocations behind it; raises UndecodableError."""
    try:
        return _parse(data, preferred)
    except (struct.error, ValueError) as error:
        raise UndecodableError(f"what it unpacks to is no ELF kernel: {error}") from None


def _parse(data: bytes, preferred: int) -> Vmlinux:
    if data[:5] not in (b"\x7fELF\1", b"\x7fELF\2"):
        raise ValueError("no ELF magic")
    wide = data[4] == 2
    entry, programs = struct.unpack_from("<QQ" if wide else "<II", data, 0x18)
    size, count = struct.unpack_from("<HH", data, 0x36 if wide else 0x2A)
    if count > _MOST_SEGMENTS:
        raise ValueError(f"{count} program headers")
    if programs + count * size > len(data):
        raise ValueError("its program headers lie outside")
    segments: list[Segment] = []
    base = 0
    for at in range(programs, programs + count * size, max(size, 1)):
        kind, offset, virtual, physical, in_file, in_memory = _program(data, at, wide=wide)
        if kind != _PT_LOAD:
            continue
        place = physical - preferred
        if not (place >= 0 and in_file <= in_memory and place + in_memory <= MOST_BYTES):
            raise ValueError(f"a segment at {physical:#x} of {in_memory:#x} bytes")
        if offset + in_file > len(data):
            raise ValueError("a segment lies outside")
        base = base or virtual - place
        segments.append(Segment(place, memoryview(data)[offset : offset + in_file], in_memory))
    if not segments:
        raise ValueError("nothing in it is loaded")
    span = max(each.offset + each.size for each in segments)
    if not 0 <= entry - preferred < span:
        raise ValueError(f"its entry is {entry:#x}")
    return Vmlinux(entry - preferred, tuple(segments), tuple(_relocations(data, base, span, wide=wide)))


def _program(data: bytes, at: int, *, wide: bool) -> tuple[int, int, int, int, int, int]:
    """Type, offset, virtual and physical address, size in the file, size in memory."""
    if wide:
        kind, _, offset, virtual, physical, in_file, in_memory = struct.unpack_from("<IIQQQQQ", data, at)
    else:
        kind, offset, virtual, physical, in_file, in_memory = struct.unpack_from("<6I", data, at)
    return kind, offset, virtual, physical, in_file, in_memory


def _relocations(data: bytes, base: int, span: int, *, wide: bool) -> Iterator[Places]:
    """The lists that end the payload, the last first, each with a zero before it.

    They are addresses of 32 bits, with their sign where the kernel has 64; *base* is the load address's.
    """
    words = np.frombuffer(data, "<i4" if wide else "<u4", len(data) // 4, len(data) % 4)
    base = (base + (1 << 63)) % (1 << 64) - (1 << 63)
    zeros = np.flatnonzero(words == 0)
    end = len(words)
    for _ in range(3 if wide else 1):
        before = int(np.searchsorted(zeros, end)) - 1
        if before < 0:
            return
        places = words[int(zeros[before]) + 1 : end].astype(np.int64) - base
        if np.any((places < 0) | (places > span - 8)):
            return
        yield places
        end = int(zeros[before])


def _shift(plain: npt.NDArray[np.uint8], found: npt.NDArray[np.uint8], places: Places) -> int:
    """By how much the first of the places has moved."""
    if not len(places):
        return 0
    span = slice(int(places[0]), int(places[0]) + 4)
    after, before = (int.from_bytes(each[span].tobytes(), "little") for each in (found, plain))
    return (after - before + (1 << 31)) % (1 << 32) - (1 << 31)


def _add(plain: npt.NDArray[np.uint8], places: Places, width: int, shift: int) -> None:
    """Add *shift* to the little-endian numbers at *places*."""
    if not len(places) or not shift:
        return
    kind = np.dtype(f"<u{width}")
    index = places[:, None] + np.arange(width)
    moved = plain[index].view(kind) + np.array([shift % (1 << (8 * width))], kind)
    plain[index] = moved.view(np.uint8)
