"""Memory allocation services (UEFI 2.10, section 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.memory_map import DESCRIPTOR_SIZE, DESCRIPTOR_VERSION, NOT_FOR_ALLOCATION, AllocateType, MemoryType
from efi_services.service import service
from efi_services.status import EfiError, Status
from efi_services.types import UINT32, UINTN, Buffer, Bytes, InOut, Out, PhysicalAddress, Pointer

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


@service("AllocatePages", "7.2.1")
def allocate_pages(
    fw: Firmware, kind: AllocateType, memory_type: MemoryType, pages: UINTN, memory: InOut[PhysicalAddress]
) -> Status:
    """Allocate whole pages; on entry *memory* holds the limit or the wanted address."""
    _check_type(memory_type)
    memory.set(fw.allocate_pages(kind, memory_type, pages, memory.get()))
    return Status.SUCCESS


@service("FreePages", "7.2.2")
def free_pages(fw: Firmware, memory: PhysicalAddress, pages: UINTN) -> Status:
    """Free pages; a part of an allocation may be freed by itself."""
    fw.free_pages(memory, pages)
    return Status.SUCCESS


@service("GetMemoryMap", "7.2.3")
def get_memory_map(
    fw: Firmware,
    size: InOut[Bytes],
    memory_map: Buffer | None,
    key: Out[UINTN] | None,
    descriptor_size: Out[Bytes] | None,
    descriptor_version: Out[UINT32] | None,
) -> Status:
    """Give the memory map; the descriptor size is answered even where the buffer is too small, as callers rely on."""
    descriptors = fw.memory_map.descriptors()
    needed = len(descriptors) * DESCRIPTOR_SIZE
    room = size.get()
    size.set(needed)
    if descriptor_size is not None:
        descriptor_size.set(DESCRIPTOR_SIZE)
    if descriptor_version is not None:
        descriptor_version.set(DESCRIPTOR_VERSION)
    if room < needed:
        raise EfiError(Status.BUFFER_TOO_SMALL)
    if memory_map is None:
        raise EfiError(Status.INVALID_PARAMETER)
    packed = b"".join(each.pack(fw.abi).ljust(DESCRIPTOR_SIZE, b"\0") for each in descriptors)
    memory_map.write(packed)
    fw.observer.provided("memory map", memory_map.address, packed)
    if key is not None:
        key.set(fw.memory_map.key)
    return Status.SUCCESS


@service("AllocatePool", "7.2.4")
def allocate_pool(fw: Firmware, pool_type: MemoryType, size: Bytes, buffer: Out[Pointer]) -> Status:
    """Allocate bytes, aligned to eight."""
    _check_type(pool_type)
    buffer.set(fw.allocate_pool(pool_type, size))
    return Status.SUCCESS


@service("FreePool", "7.2.5")
def free_pool(fw: Firmware, buffer: Pointer) -> Status:
    """Free a pool allocation."""
    fw.discard(buffer)
    return Status.SUCCESS


def _check_type(memory_type: MemoryType) -> None:
    if memory_type in NOT_FOR_ALLOCATION:
        raise EfiError(Status.INVALID_PARAMETER)
