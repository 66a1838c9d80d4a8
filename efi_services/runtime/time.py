"""Time services (UEFI 2.10, section 8.3): virtual time, counted from the platform's start time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from efi_services.service import service, unsupported
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import UINT8, UINT16, UINT32, Boolean, In, Out

if TYPE_CHECKING:
    from efi_services.firmware import Firmware

UNSPECIFIED_TIMEZONE = 0x07FF
#: EFI_TIME_ADJUST_DAYLIGHT and EFI_TIME_IN_DAYLIGHT.
_DAYLIGHT = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@struct
class Time(Struct):
    """EFI_TIME. The time zone is an INT16 in minutes; 0x7ff means local time."""

    year: UINT16
    month: UINT8
    day: UINT8
    hour: UINT8
    minute: UINT8
    second: UINT8
    pad1: UINT8
    nanosecond: UINT32
    time_zone: UINT16
    daylight: UINT8
    pad2: UINT8


@struct
class TimeCapabilities(Struct):
    """EFI_TIME_CAPABILITIES."""

    resolution: UINT32
    accuracy: UINT32
    sets_to_zero: Boolean


@service("GetTime", "8.3.1")
def get_time(fw: Firmware, time: Out[Time], capabilities: Out[TimeCapabilities] | None) -> Status:
    """Virtual time to the second's fraction."""
    total = fw.clock.now + fw.time_offset
    try:
        moment = _EPOCH + timedelta(seconds=fw.platform.start_time + total // 1_000_000_000)
    except OverflowError:
        # The clock was set to year 9999 and went on.
        raise EfiError(Status.DEVICE_ERROR) from None
    time.set(
        Time(
            moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, 0,
            total % 1_000_000_000, UNSPECIFIED_TIMEZONE, 0, 0,
        )
    )  # fmt: skip
    if capabilities is not None:
        capabilities.set(TimeCapabilities(resolution=1_000_000_000, accuracy=0, sets_to_zero=False))
    return Status.SUCCESS


@service("SetTime", "8.3.2")
def set_time(fw: Firmware, time: In[Time]) -> Status:
    """Move the clock's offset; virtual time itself goes on as before."""
    try:
        moment = datetime(time.year, time.month, time.day, time.hour, time.minute, time.second, tzinfo=UTC)
    except ValueError:
        raise EfiError(Status.INVALID_PARAMETER) from None
    zone = time.time_zone - 0x10000 if time.time_zone & 0x8000 else time.time_zone
    if not 1900 <= time.year <= 9999 or time.nanosecond > 999_999_999 or time.daylight & ~_DAYLIGHT:
        raise EfiError(Status.INVALID_PARAMETER)
    if zone != UNSPECIFIED_TIMEZONE and not -1440 <= zone <= 1440:
        raise EfiError(Status.INVALID_PARAMETER)
    wanted = int((moment - _EPOCH).total_seconds()) - fw.platform.start_time
    fw.time_offset = wanted * 1_000_000_000 + time.nanosecond - fw.clock.now
    return Status.SUCCESS


get_wakeup_time = unsupported("GetWakeupTime", "8.3.3")
set_wakeup_time = unsupported("SetWakeupTime", "8.3.4")
