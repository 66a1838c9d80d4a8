"""Events of measured boot: their types, and what their data is (TCG PC Client PFP, section 10.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from efi_services.tcg.algorithms import Algorithm
    from efi_services.types import Guid


class EventType(IntEnum):
    """The event types that firmware, stubs and DRTM write."""

    EV_PREBOOT_CERT = 0x0
    EV_POST_CODE = 0x1
    EV_NO_ACTION = 0x3
    EV_SEPARATOR = 0x4
    EV_ACTION = 0x5
    EV_EVENT_TAG = 0x6
    EV_S_CRTM_CONTENTS = 0x7
    EV_S_CRTM_VERSION = 0x8
    EV_CPU_MICROCODE = 0x9
    EV_PLATFORM_CONFIG_FLAGS = 0xA
    EV_TABLE_OF_DEVICES = 0xB
    EV_COMPACT_HASH = 0xC
    EV_IPL = 0xD
    EV_IPL_PARTITION_DATA = 0xE
    EV_NONHOST_CODE = 0xF
    EV_NONHOST_CONFIG = 0x10
    EV_NONHOST_INFO = 0x11
    EV_OMIT_BOOT_DEVICE_EVENTS = 0x12
    EV_EFI_VARIABLE_DRIVER_CONFIG = 0x8000_0001
    EV_EFI_VARIABLE_BOOT = 0x8000_0002
    EV_EFI_BOOT_SERVICES_APPLICATION = 0x8000_0003
    EV_EFI_BOOT_SERVICES_DRIVER = 0x8000_0004
    EV_EFI_RUNTIME_SERVICES_DRIVER = 0x8000_0005
    EV_EFI_GPT_EVENT = 0x8000_0006
    EV_EFI_ACTION = 0x8000_0007
    EV_EFI_PLATFORM_FIRMWARE_BLOB = 0x8000_0008
    EV_EFI_HANDOFF_TABLES = 0x8000_0009
    EV_EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000_000A
    EV_EFI_HANDOFF_TABLES2 = 0x8000_000B
    EV_EFI_VARIABLE_BOOT2 = 0x8000_000C
    EV_EFI_HCRTM_EVENT = 0x8000_0010
    EV_EFI_VARIABLE_AUTHORITY = 0x8000_00E0
    TXT_EVTYPE_SLAUNCH = 0x502
    TXT_EVTYPE_SLAUNCH_START = 0x503
    TXT_EVTYPE_SLAUNCH_END = 0x504


#: What brackets the events of an older kernel's dynamic launch.
_MARKERS = (EventType.TXT_EVTYPE_SLAUNCH_START, EventType.TXT_EVTYPE_SLAUNCH_END)


def type_name(number: int) -> str:
    """EV_… where the type has a name, its number in hexadecimal otherwise."""
    try:
        return EventType(number).name
    except ValueError:
        return f"{number:#x}"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a log: the register's index (a PCR, or an MR of confidential computing), its digests, its data."""

    index: int
    type: int
    digests: dict[Algorithm, bytes]
    data: bytes = field(repr=False)

    @property
    def extends(self) -> bool:
        """Whether it says that a register was extended: EV_NO_ACTION is for the reader only.

        So are the markers of a dynamic launch, whose digests are zero; but whoever extends a digest under their types,
        as HashLogExtendEvent lets a program do, has extended it.
        """
        if self.type in _MARKERS:
            return any(map(any, self.digests.values()))
        return self.type != EventType.EV_NO_ACTION


def variable_data(vendor: Guid, name: str, data: bytes) -> bytes:
    """UEFI_VARIABLE_DATA: whose, name and contents of a variable."""
    text = name.encode("utf-16-le")
    return vendor.bytes_le + struct.pack("<QQ", len(text) // 2, len(data)) + text + data


def split_variable_data(data: bytes) -> tuple[str, bytes]:
    """Name and contents of a variable in UEFI_VARIABLE_DATA; raises ValueError where it is cut off."""
    if len(data) < 32:
        raise ValueError("no UEFI_VARIABLE_DATA")
    characters, size = struct.unpack_from("<QQ", data, 16)
    if 32 + 2 * characters + size != len(data):
        raise ValueError("UEFI_VARIABLE_DATA of another size than it says")
    return data[32 : 32 + 2 * characters].decode("utf-16-le", "replace"), data[32 + 2 * characters :]


def image_load_event(location: int, length: int, link_time: int, path: bytes) -> bytes:
    """UEFI_IMAGE_LOAD_EVENT: where an image was loaded, its file's length, and its device path."""
    return struct.pack("<QQQQ", location, length, link_time, len(path)) + path


def tagged_event(tag: int, data: bytes) -> bytes:
    """TCG_PCClientTaggedEvent, as EV_EVENT_TAG has it."""
    return struct.pack("<II", tag, len(data)) + data
