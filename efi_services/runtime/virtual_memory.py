"""Virtual memory services (UEFI 2.10, section 8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.memory_map import ATTRIBUTE_RUNTIME, DESCRIPTOR_VERSION, PAGE, MemoryDescriptor
from efi_services.service import Calls, service
from efi_services.status import EfiError, Status
from efi_services.types import UINT32, UINTN, Buffer, Bytes, InOut, Pointer

if TYPE_CHECKING:
    from efi_services.firmware import Firmware

#: ConvertPointer: a pointer with this flag may be NULL.
OPTIONAL_POINTER = 1
#: A map of more bytes than this is a wild size.
MAX_MAP = 1 << 20


@service("SetVirtualAddressMap", "8.4.1")
def set_virtual_address_map(
    fw: Firmware, size: Bytes, descriptor_size: Bytes, version: UINT32, memory_map: Buffer | None
) -> Calls[Status]:
    """Take over the addresses at which the operating system has mapped runtime memory; once, and only at runtime."""
    if not fw.boot_services_exited or fw.virtual_map:
        raise EfiError(Status.UNSUPPORTED)
    entry = MemoryDescriptor.sizeof(fw.abi)
    if memory_map is None or version != DESCRIPTOR_VERSION or descriptor_size < entry or size > MAX_MAP:
        raise EfiError(Status.INVALID_PARAMETER)
    data = memory_map.read(size)
    described = [
        MemoryDescriptor.unpack(fw.abi, data[at : at + entry]) for at in range(0, size - entry + 1, descriptor_size)
    ]
    runtime = [each for each in described if each.attribute & ATTRIBUTE_RUNTIME]
    for each in runtime:
        if each.physical_start % PAGE or each.virtual_start % PAGE:
            raise EfiError(Status.INVALID_PARAMETER)
    for owned in fw.memory_map:
        if owned.type.is_runtime and not any(
            one.physical_start <= owned.start and owned.end <= one.physical_start + one.number_of_pages * PAGE
            for one in runtime
        ):
            raise EfiError(Status.NO_MAPPING)
    fw.virtual_map = tuple(
        (one.physical_start, one.physical_start + one.number_of_pages * PAGE, one.virtual_start) for one in runtime
    )
    fw.converting = True
    fw.events.signal_group(guids.EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE)
    yield from fw.events.dispatch()
    fw.convert_tables()
    fw.converting = False
    return Status.SUCCESS


@service("ConvertPointer", "8.4.2")
def convert_pointer(fw: Firmware, disposition: UINTN, address: InOut[Pointer]) -> Status:
    """Give a pointer its virtual value; only while SetVirtualAddressMap notifies drivers."""
    if not fw.converting:
        raise EfiError(Status.UNSUPPORTED)
    if address.get() == 0:
        if disposition & OPTIONAL_POINTER:
            return Status.SUCCESS
        raise EfiError(Status.INVALID_PARAMETER)
    address.set(fw.convert(address.get()))
    return Status.SUCCESS
