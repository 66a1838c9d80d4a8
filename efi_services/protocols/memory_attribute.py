"""EFI_MEMORY_ATTRIBUTE_PROTOCOL (UEFI 2.10, section 37.7): what may be read, written and executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.memory_map import PAGE
from efi_services.ports import Access
from efi_services.service import method, protocol
from efi_services.status import EfiError, Status
from efi_services.types import UINT64, Flags64, Out, PhysicalAddress

if TYPE_CHECKING:
    from efi_services.ports import Mmu

READ_PROTECT = 0x2000
EXECUTE_PROTECT = 0x4000
READ_ONLY = 0x20000
_ALL = READ_PROTECT | EXECUTE_PROTECT | READ_ONLY


@protocol("f4560cf6-40ec-4b4a-a192-bf1d57d0b189", name="EFI_MEMORY_ATTRIBUTE_PROTOCOL", spec="37.7")
class MemoryAttribute:
    """Page permissions; the guest's page tables are the only place where they are kept."""

    def __init__(self, mmu: Mmu) -> None:
        self._mmu = mmu

    @method("GetMemoryAttributes", "37.7.2")
    def get_memory_attributes(self, base: PhysicalAddress, length: UINT64, attributes: Out[Flags64]) -> Status:
        """The attributes of a range; NO_MAPPING where its pages differ."""
        found = {_to_attributes(access) for _, _, access in self._runs(base, length)}
        if len(found) != 1:
            raise EfiError(Status.NO_MAPPING)
        attributes.set(found.pop())
        return Status.SUCCESS

    @method("SetMemoryAttributes", "37.7.3")
    def set_memory_attributes(self, base: PhysicalAddress, length: UINT64, attributes: Flags64) -> Status:
        """Take permissions away."""
        return self._change(base, length, attributes, protect=True)

    @method("ClearMemoryAttributes", "37.7.4")
    def clear_memory_attributes(self, base: PhysicalAddress, length: UINT64, attributes: Flags64) -> Status:
        """Give permissions back."""
        return self._change(base, length, attributes, protect=False)

    def _change(self, base: int, length: int, attributes: int, *, protect: bool) -> Status:
        if attributes == 0 or attributes & ~_ALL:
            raise EfiError(Status.INVALID_PARAMETER)
        mask = _to_access(attributes)
        for start, end, access in self._runs(base, length):
            self._mmu.protect(start, end - start, access & ~mask if protect else access | mask)
        return Status.SUCCESS

    def _runs(self, base: int, length: int) -> list[tuple[int, int, Access]]:
        if length == 0 or base % PAGE or length % PAGE:
            raise EfiError(Status.INVALID_PARAMETER if length == 0 else Status.UNSUPPORTED)
        found: list[tuple[int, int, Access]] = []
        for start, end, access in self._mmu.runs(base, base + length):
            if access is None:
                raise EfiError(Status.NO_MAPPING)
            found.append((start, end, access))
        return found


def _to_access(attributes: int) -> Access:
    access = Access.NONE
    if attributes & READ_PROTECT:
        access |= Access.READ
    if attributes & READ_ONLY:
        access |= Access.WRITE
    if attributes & EXECUTE_PROTECT:
        access |= Access.EXECUTE
    return access


def _to_attributes(access: Access) -> int:
    return (
        (0 if Access.READ in access else READ_PROTECT)
        | (0 if Access.WRITE in access else READ_ONLY)
        | (0 if Access.EXECUTE in access else EXECUTE_PROTECT)
    )
