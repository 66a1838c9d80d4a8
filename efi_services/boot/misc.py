"""Miscellaneous boot services (UEFI 2.10, section 7.5)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from efi_services.service import Calls, service
from efi_services.status import EfiError, Status
from efi_services.types import UINT8, UINT32, UINT64, UINTN, Buffer, Bytes, Guid, In, Out, Pointer

if TYPE_CHECKING:
    from efi_services.firmware import Firmware

_STEP = 1 << 20
#: Timers that may run out without a notification before Stall goes straight to its end.
_SILENT_TIMERS = 1000


@service("SetWatchdogTimer", "7.5.1")
def set_watchdog_timer(fw: Firmware, timeout: UINTN, code: UINT64, data_size: Bytes, data: Pointer) -> Status:
    """Note the watchdog, in seconds; one that runs out resets the system when a service is called next."""
    fw.watchdog = fw.clock.now + timeout * 1_000_000_000 if timeout else None
    return Status.SUCCESS


@service("Stall", "7.5.2")
def stall(fw: Firmware, microseconds: UINTN) -> Calls[Status]:
    """Let virtual time pass; timers that run out meanwhile notify in their turn."""
    end = fw.clock.now + microseconds * 1000
    silent = 0
    while silent < _SILENT_TIMERS and (due := fw.events.next_due()) is not None and due <= end:
        fw.clock.advance(max(due - fw.clock.now, 0))
        if fw.events.ready():
            yield from fw.events.dispatch()
        else:
            silent += 1
    fw.clock.advance(max(end - fw.clock.now, 0))
    return Status.SUCCESS


@service("CopyMem", "7.5.3")
def copy_mem(fw: Firmware, destination: Pointer, source: Pointer, length: Bytes) -> None:
    """Copy memory; the areas may overlap."""
    if length:
        fw.memory.copy(destination, source, length)


@service("SetMem", "7.5.4")
def set_mem(fw: Firmware, buffer: Pointer, size: Bytes, value: UINT8) -> None:
    """Fill memory."""
    if size:
        fw.memory.fill(buffer, size, value)


@service("GetNextMonotonicCount", "7.5.5")
def get_next_monotonic_count(fw: Firmware, count: Out[UINT64]) -> Status:
    """A number that no call before has got."""
    fw.monotonic_count += 1
    count.set(fw.monotonic_count)
    return Status.SUCCESS


@service("InstallConfigurationTable", "7.5.6")
def install_configuration_table(fw: Firmware, vendor: In[Guid], table: Pointer) -> Status:
    """Add, replace or (NULL) remove a configuration table; NOT_FOUND where there is none to remove."""
    fw.configuration.install(vendor, table)
    fw.events.signal_group(vendor)
    return Status.SUCCESS


@service("CalculateCrc32", "7.5.7")
def calculate_crc32(fw: Firmware, data: Buffer, size: Bytes, crc: Out[UINT32]) -> Status:
    """The CRC-32 of a buffer."""
    if size == 0:
        raise EfiError(Status.INVALID_PARAMETER)
    value = 0
    for at in range(0, size, _STEP):
        value = zlib.crc32(fw.memory.read(data.address + at, min(_STEP, size - at)), value)
    crc.set(value)
    return Status.SUCCESS
