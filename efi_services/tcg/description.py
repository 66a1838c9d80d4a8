"""What an event says, in a few words for people; the data of events is the guest's, and may be anything."""

from __future__ import annotations

import struct

from efi_services.device_path import to_text
from efi_services.tcg.events import EventType

_VARIABLES = (
    EventType.EV_EFI_VARIABLE_DRIVER_CONFIG,
    EventType.EV_EFI_VARIABLE_BOOT,
    EventType.EV_EFI_VARIABLE_BOOT2,
    EventType.EV_EFI_VARIABLE_AUTHORITY,
)
_IMAGES = (
    EventType.EV_EFI_BOOT_SERVICES_APPLICATION,
    EventType.EV_EFI_BOOT_SERVICES_DRIVER,
    EventType.EV_EFI_RUNTIME_SERVICES_DRIVER,
)
_MOST = 200


def describe(kind: int, data: bytes) -> str:
    """A variable's name, an image's path, a tag's or an action's text; hexadecimal where there are no words."""
    if kind in _VARIABLES and len(data) >= 32:
        (length,) = struct.unpack_from("<Q", data, 16)
        if 2 * length <= len(data) - 32:
            return _text(data[32 : 32 + 2 * length], "utf-16-le")
    if kind in _IMAGES and len(data) >= 32:
        return to_text(data[32:])[:_MOST]
    if kind == EventType.EV_SEPARATOR:
        return "separator" if data in (bytes(4), b"\xff" * 4) else f"separator {data[:8].hex()}"
    if kind == EventType.EV_EVENT_TAG and len(data) >= 8:
        tag, size = struct.unpack_from("<II", data)
        return _text(data[8 : 8 + size], "utf-8") or f"tag {tag:#x}"
    if kind == EventType.EV_IPL and data[1:2] == b"\0":
        return _text(data, "utf-16-le")
    return _text(data, "utf-8")


def _text(data: bytes, encoding: str) -> str:
    words = data[: 4 * _MOST].decode(encoding, "replace").rstrip("\0")[:_MOST]
    return words if words.isprintable() and "\ufffd" not in words else data[: _MOST // 4].hex()
