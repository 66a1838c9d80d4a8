"""The memory map: who may use which pages (UEFI 2.10, section 7.2)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import UINT32, UINT64, PhysicalAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 4096

UC, WC, WT, WB = 1, 2, 4, 8
ATTRIBUTE_RUNTIME = 1 << 63
#: What ordinary RAM can be cached as.
RAM = UC | WC | WT | WB


class MemoryType(IntEnum):
    """EFI_MEMORY_TYPE; 0x70000000 and up belong to OEMs and operating systems."""

    ReservedMemoryType = 0
    LoaderCode = 1
    LoaderData = 2
    BootServicesCode = 3
    BootServicesData = 4
    RuntimeServicesCode = 5
    RuntimeServicesData = 6
    ConventionalMemory = 7
    UnusableMemory = 8
    ACPIReclaimMemory = 9
    ACPIMemoryNVS = 10
    MemoryMappedIO = 11
    MemoryMappedIOPortSpace = 12
    PalCode = 13
    PersistentMemory = 14
    UnacceptedMemoryType = 15

    @classmethod
    def _missing_(cls, value: object) -> MemoryType | None:
        if not isinstance(value, int) or not 0x7000_0000 <= value <= 0xFFFF_FFFF:
            return None
        made = int.__new__(cls, value)
        made._name_ = f"OS{value:#x}" if value >= 0x8000_0000 else f"OEM{value:#x}"
        made._value_ = value
        return made

    @property
    def is_runtime(self) -> bool:
        """Whether the operating system must map it for runtime services."""
        return self in (MemoryType.RuntimeServicesCode, MemoryType.RuntimeServicesData)

    @property
    def is_code(self) -> bool:
        """Whether a firmware without a stricter policy lets it be executed."""
        return self in (MemoryType.LoaderCode, MemoryType.BootServicesCode, MemoryType.RuntimeServicesCode)


#: Types whose memory an operating system may have to map apart from others, as EDK II sees it.
_APART = frozenset(
    {
        MemoryType.ReservedMemoryType,
        MemoryType.ACPIMemoryNVS,
        MemoryType.RuntimeServicesCode,
        MemoryType.RuntimeServicesData,
    }
)

#: Types that AllocatePages and AllocatePool refuse.
NOT_FOR_ALLOCATION = frozenset(
    {MemoryType.ConventionalMemory, MemoryType.PersistentMemory, MemoryType.UnacceptedMemoryType}
)


class AllocateType(IntEnum):
    """EFI_ALLOCATE_TYPE."""

    AnyPages = 0
    MaxAddress = 1
    Address = 2


@struct
class MemoryDescriptor(Struct):
    """EFI_MEMORY_DESCRIPTOR (section 7.2.3), version 1."""

    type: UINT32
    physical_start: PhysicalAddress
    virtual_start: UINT64
    number_of_pages: UINT64
    attribute: UINT64


#: Firmware hands descriptors out in steps of this size, larger than the structure, so that nobody assumes it.
DESCRIPTOR_SIZE = 48
DESCRIPTOR_VERSION = 1


class Owner(Enum):
    """Who got a range: decides who may free it."""

    NOBODY = "nobody"
    PAGES = "AllocatePages"
    POOL = "AllocatePool"
    FIRMWARE = "firmware"


@dataclass(frozen=True, slots=True)
class Range:
    """Pages of one type with one owner: addresses, the end exclusive."""

    start: int
    end: int
    type: MemoryType
    attribute: int
    owner: Owner = Owner.NOBODY

    @property
    def pages(self) -> int:
        """Number of pages."""
        return (self.end - self.start) // PAGE


class MemoryMap:
    """Sorted, gapless-where-RAM ranges; `key` changes whenever the map does.

    Memory of a type that outlives boot services is given out, and given back, in pieces of *runtime_granularity* bytes.
    """

    def __init__(self, ranges: tuple[Range, ...], runtime_granularity: int = PAGE) -> None:
        self._runtime_granularity = runtime_granularity
        self._ranges = sorted(ranges, key=lambda each: each.start)
        for before, after in zip(self._ranges, self._ranges[1:], strict=False):
            if before.end > after.start:
                raise ValueError(f"memory ranges overlap at {after.start:#x}")
        for each in self._ranges:
            if each.start % PAGE or each.end % PAGE or each.start >= each.end:
                raise ValueError(f"memory range {each.start:#x}..{each.end:#x} is not of whole pages")
        self._starts = [each.start for each in self._ranges]
        self.key = 1
        self.used_peak = 0
        self._used = 0

    def __iter__(self) -> Iterator[Range]:
        return iter(self._ranges)

    @property
    def used(self) -> int:
        """Bytes given out by now."""
        return self._used

    def at(self, address: int) -> Range | None:
        """The range that holds *address*."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._ranges[index].end:
            return self._ranges[index]
        return None

    def granularity(self, memory_type: MemoryType) -> int:
        """In pieces of how many bytes memory of this type comes."""
        return self._runtime_granularity if memory_type in _APART else PAGE

    def allocate(
        self,
        how: AllocateType,
        memory_type: MemoryType,
        pages: int,
        address: int = 0,
        *,
        owner: Owner = Owner.PAGES,
        alignment: int = PAGE,
    ) -> int:
        """Take *pages* pages and return their address.

        For MaxAddress, *address* is the highest byte allowed; for Address, the place wanted. Memory is handed
        out from the top downwards, as EDK II does.

        Raises:
            EfiError: OUT_OF_RESOURCES, NOT_FOUND (Address: not free), INVALID_PARAMETER.
        """
        step = self.granularity(memory_type)
        size = -(-pages * PAGE // step) * step
        if pages == 0:
            raise EfiError(Status.INVALID_PARAMETER)
        if how is AllocateType.Address:
            if address % PAGE:
                raise EfiError(Status.INVALID_PARAMETER)
            here = self.at(address)
            if (
                address % step
                or here is None
                or here.type is not MemoryType.ConventionalMemory
                or address + size > here.end
            ):
                raise EfiError(Status.NOT_FOUND)
            start = address
        else:
            limit = address + 1 if how is AllocateType.MaxAddress else 1 << 64
            start = self._highest(size, limit, max(alignment, step))
        self._assign(start, start + size, memory_type, owner)
        self._used += size
        self.used_peak = max(self.used_peak, self._used)
        return start

    def free(self, start: int, pages: int, *, owner: Owner = Owner.PAGES) -> None:
        """Give pages back.

        Raises:
            EfiError: INVALID_PARAMETER for a bad address or count, NOT_FOUND where *owner* didn't allocate them all.
        """
        there = self.at(start)
        step = PAGE if there is None else self.granularity(there.type)
        end = start + -(-pages * PAGE // step) * step
        if start % step or pages == 0 or end > 1 << 64:
            raise EfiError(Status.INVALID_PARAMETER)
        at = start
        pieces: list[tuple[int, int]] = []
        while at < end:
            here = self.at(at)
            if here is None or here.owner is not owner:
                raise EfiError(Status.NOT_FOUND)
            pieces.append((at, min(here.end, end)))
            at = here.end
        for first, last in pieces:
            self._assign(first, last, MemoryType.ConventionalMemory, Owner.NOBODY)
        self._used -= end - start

    def descriptors(self) -> list[MemoryDescriptor]:
        """The map as GetMemoryMap tells it: ascending, neighbours that differ only in owner merged."""
        merged: list[Range] = []
        for each in self._ranges:
            last = merged[-1] if merged else None
            if last and (last.end, last.type, last.attribute) == (each.start, each.type, each.attribute):
                merged[-1] = replace(last, end=each.end)
            else:
                merged.append(each)
        return [
            MemoryDescriptor(
                type=each.type,
                physical_start=each.start,
                virtual_start=0,
                number_of_pages=each.pages,
                attribute=each.attribute | (ATTRIBUTE_RUNTIME if each.type.is_runtime else 0),
            )
            for each in merged
        ]

    def _highest(self, size: int, limit: int, alignment: int) -> int:
        for each in reversed(self._ranges):
            if each.type is not MemoryType.ConventionalMemory:
                continue
            start = (min(each.end, limit) - size) & ~(alignment - 1) & ~(PAGE - 1)
            if start >= each.start:
                return start
        raise EfiError(Status.OUT_OF_RESOURCES)

    def _assign(self, start: int, end: int, memory_type: MemoryType, owner: Owner) -> None:
        """Give start..end, which the map holds whole, a type and an owner; equal neighbours grow together."""
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1) - 1
        low, high = self._ranges[first], self._ranges[last]
        new: list[Range] = []
        if low.start < start:
            new.append(replace(low, end=start))
        new.append(Range(start, end, memory_type, low.attribute, owner))
        if high.end > end:
            new.append(replace(high, start=end))
        if first > 0:
            first -= 1
            new.insert(0, self._ranges[first])
        if last + 1 < len(self._ranges):
            last += 1
            new.append(self._ranges[last])
        joined: list[Range] = []
        for each in new:
            before = joined[-1] if joined else None
            if (
                before
                and before.end == each.start
                and replace(before, end=each.end) == replace(each, start=before.start)
            ):
                joined[-1] = replace(before, end=each.end)
            else:
                joined.append(each)
        self._ranges[first : last + 1] = joined
        self._starts[first : last + 1] = [each.start for each in joined]
        self.key += 1
