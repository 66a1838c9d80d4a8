"""EFI_IMAGE_EXECUTION_INFO_TABLE: what became of images that were verified (UEFI 2.10, section 32.5.3.2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.device_path import to_text
from efi_services.memory_map import MemoryType
from efi_services.secure_boot import signature_list

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.secure_boot.verification import Verdict

#: Set with what an image was found to be where it was let through all the same.
INITIALIZED = 8
#: A guest may have images refused for ever; the first ones tell enough.
MOST = 128


class ExecutionInfo:
    """The table, which the operating system finds among the configuration tables."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._entries: list[bytes] = []
        self._table = 0

    def publish(self) -> None:
        """Lay the table out and install it, in place of the one before."""
        firmware, old = self._firmware, self._table
        data = firmware.abi.pack(len(self._entries)) + b"".join(self._entries)
        self._table = firmware.store(data, MemoryType.RuntimeServicesData, "image execution information")
        firmware.configuration.install(guids.IMAGE_SECURITY_DATABASE, self._table)
        if old:
            firmware.discard(old)

    def add(self, verdict: Verdict, path: bytes, *, initialized: bool) -> None:
        """Write an image down: what was found, its name and path, and its digest."""
        if len(self._entries) == MOST:
            return
        name = (to_text(path) + "\0").encode("utf-16-le", "replace")
        digest = signature_list.pack([verdict.digest]) if verdict.digest else b""
        action = verdict.action | (INITIALIZED if initialized else 0)
        body = name + path + digest
        self._entries.append(struct.pack("<II", action, 8 + len(body)) + body)
        self.publish()
