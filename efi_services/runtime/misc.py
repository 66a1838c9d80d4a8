"""Miscellaneous runtime services (UEFI 2.10, section 8.5)."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from efi_services.dispatch import RunEnds
from efi_services.service import service, unsupported
from efi_services.status import Status
from efi_services.types import UINT32, Bytes, Out, Pointer, StatusCode

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


class ResetType(IntEnum):
    """EFI_RESET_TYPE."""

    Cold = 0
    Warm = 1
    Shutdown = 2
    PlatformSpecific = 3


@service("GetNextHighMonotonicCount", "8.5.2")
def get_next_high_monotonic_count(fw: Firmware, high_count: Out[UINT32]) -> Status:
    """The upper half of the monotonic count, which each call increases."""
    fw.monotonic_count = ((fw.monotonic_count >> 32) + 1) << 32
    high_count.set(fw.monotonic_count >> 32)
    return Status.SUCCESS


@service("ResetSystem", "8.5.1")
def reset_system(fw: Firmware, kind: ResetType, reset_status: StatusCode, size: Bytes, data: Pointer) -> None:
    """End the run: the machine resets."""
    said = fw.text_at(data, size)
    raise RunEnds("reset", reset_status, f"{kind.name.lower()} reset" + (f": {said}" if said else ""))


update_capsule = unsupported("UpdateCapsule", "8.5.3")
query_capsule_capabilities = unsupported("QueryCapsuleCapabilities", "8.5.4")
