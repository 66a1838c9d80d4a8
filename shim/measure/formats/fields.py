"""What the data of an event says, as far as its type tells (TCG PC Client PFP, section 10.4)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from efi_services.device_path import to_text
from efi_services.tcg.events import EventType
from efi_services.types import Guid

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.tcg.events import Event

_VARIABLES = {
    EventType.EV_EFI_VARIABLE_DRIVER_CONFIG,
    EventType.EV_EFI_VARIABLE_BOOT,
    EventType.EV_EFI_VARIABLE_BOOT2,
    EventType.EV_EFI_VARIABLE_AUTHORITY,
}
_IMAGES = {
    EventType.EV_EFI_BOOT_SERVICES_APPLICATION,
    EventType.EV_EFI_BOOT_SERVICES_DRIVER,
    EventType.EV_EFI_RUNTIME_SERVICES_DRIVER,
}
_TEXTS = {
    EventType.EV_ACTION,
    EventType.EV_EFI_ACTION,
    EventType.EV_IPL,
    EventType.EV_COMPACT_HASH,
    EventType.EV_OMIT_BOOT_DEVICE_EVENTS,
    EventType.EV_POST_CODE,
    EventType.EV_PLATFORM_CONFIG_FLAGS,
    EventType.EV_S_CRTM_VERSION,
    EventType.TXT_EVTYPE_SLAUNCH,
    EventType.TXT_EVTYPE_SLAUNCH_START,
    EventType.TXT_EVTYPE_SLAUNCH_END,
}
_SEPARATORS = {0: "nothing was wrong", 0xFFFF_FFFF: "nothing was wrong", 1: "an error"}
_NO_ACTION = b"StartupLocality\0"
#: Types whose digest is that of their data, so that a log can be caught contradicting itself. EV_EFI_VARIABLE_AUTHORITY
#: should be one, but there are machines whose shim logs less than it hashes.
SELF_HASHED = {
    EventType.EV_SEPARATOR,
    EventType.EV_EFI_ACTION,
    EventType.EV_EFI_VARIABLE_DRIVER_CONFIG,
    EventType.EV_EFI_GPT_EVENT,
}


def fields(event: Event) -> dict[str, str]:
    """What the event's data says, by field; empty where its type or its data don't tell."""
    try:
        return _decoder(event.type)(event.data)
    except (ValueError, struct.error, IndexError):
        return {}


def describe(event: Event) -> str:
    """The event's data in a few words, in one line; empty where it doesn't tell."""
    said = fields(event)
    for key in ("variable", "path", "text"):
        if key in said:
            return said[key]
    return ", ".join(f"{key} {value}" for key, value in said.items())


def text_of(data: bytes) -> str | None:
    """Data that is text, in UTF-16 or ASCII; None where it is not."""
    for encoding in ("utf-16-le", "ascii"):
        try:
            text = data.decode(encoding).removesuffix("\0")
        except UnicodeDecodeError:
            continue
        # Any pair of bytes is some character of UTF-16: only what a boot could mean by it counts.
        if text and text.isprintable() and (encoding == "ascii" or text.isascii()):
            return text
    return None


def _decoder(kind: int) -> Callable[[bytes], dict[str, str]]:
    if kind in _VARIABLES:
        return _variable
    if kind in _IMAGES:
        return _image
    if kind in _TEXTS:
        return _text
    match kind:
        case EventType.EV_EVENT_TAG:
            return _tagged
        case EventType.EV_SEPARATOR:
            return _separator
        case EventType.EV_EFI_GPT_EVENT:
            return _partitions
        case EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB:
            return _blob
        case EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2:
            return _described_blob
        case EventType.EV_NO_ACTION:
            return _no_action
    return lambda _data: {}


def _variable(data: bytes) -> dict[str, str]:
    length, size = struct.unpack_from("<QQ", data, 16)
    name = data[32 : 32 + 2 * length]
    value = data[32 + 2 * length :]
    if len(name) != 2 * length or len(value) != size:
        return {}
    return {"variable": _line(name.decode("utf-16-le")), "vendor": str(Guid(bytes_le=data[:16])), "value": value.hex()}


def _image(data: bytes) -> dict[str, str]:
    location, length, link_time, size = struct.unpack_from("<QQQQ", data)
    path = data[32:]
    if len(path) != size:
        return {}
    return {
        "path": _line(to_text(path)),
        "length": str(length),
        "location": f"{location:#x}",
        "link_time": f"{link_time:#x}",
    }


def _text(data: bytes) -> dict[str, str]:
    text = text_of(data)
    return {} if text is None else {"text": text}


def _tagged(data: bytes) -> dict[str, str]:
    tag, size = struct.unpack_from("<II", data)
    if len(data) != 8 + size:
        return {}
    return {"tag": f"{tag:#010x}", **_text(data[8:])}


def _separator(data: bytes) -> dict[str, str]:
    if len(data) != 4:
        return _text(data)
    value = int.from_bytes(data, "little")
    return {"separator": f"{value:#010x}", "meaning": _SEPARATORS.get(value, "unknown")}


def _blob(data: bytes) -> dict[str, str]:
    """EFI_PLATFORM_FIRMWARE_BLOB: where code of the firmware lies."""
    base, size = struct.unpack("<QQ", data)
    return {"base": f"{base:#x}", "size": f"{size:#x}"}


def _described_blob(data: bytes) -> dict[str, str]:
    """UEFI_PLATFORM_FIRMWARE_BLOB2: the same behind a description."""
    end = 1 + data[0]
    return {"text": _line(data[1:end].rstrip(b"\0").decode("latin-1")), **_blob(data[end:])}


def _partitions(data: bytes) -> dict[str, str]:
    """EFI_GPT_DATA: the header of the partition table, and the entries that are used."""
    (count,) = struct.unpack_from("<Q", data, 92)
    return {"disk": str(Guid(bytes_le=data[56:72])), "partitions": str(count)}


def _no_action(data: bytes) -> dict[str, str]:
    if data.startswith(_NO_ACTION) and len(data) > len(_NO_ACTION):
        return {"startup_locality": str(data[len(_NO_ACTION)])}
    return _text(data[:16].rstrip(b"\0"))


def _line(text: str) -> str:
    """Text that stays in its line, whatever a log has in it."""
    return "".join(each if each.isprintable() else "?" for each in text)
