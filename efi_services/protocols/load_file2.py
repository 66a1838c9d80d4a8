"""EFI_LOAD_FILE2_PROTOCOL (UEFI 2.10, section 13.2), which hands the initrd to a Linux stub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.service import method, protocol
from efi_services.status import EfiError, Status
from efi_services.types import Boolean, Buffer, Bytes, DevicePathBytes, InOut

if TYPE_CHECKING:
    from collections.abc import Callable


@protocol("4006c0c1-fcb3-403e-996d-4a6c8724e06d", name="EFI_LOAD_FILE2_PROTOCOL", spec="13.2")
class LoadFile2:
    """One file, whatever path is asked for behind the handle's own: there is nothing else on it.

    *loaded* is told where the file goes.
    """

    def __init__(self, data: bytes, loaded: Callable[[int, bytes], None] = lambda _address, _data: None) -> None:
        self._data = data
        self._loaded = loaded

    @method("LoadFile", "13.2.2")
    def load_file(
        self, file_path: DevicePathBytes, boot_policy: Boolean, size: InOut[Bytes], buffer: Buffer | None
    ) -> Status:
        """Give the file's size, and its bytes where there is room."""
        if boot_policy:
            raise EfiError(Status.UNSUPPORTED)
        if len(file_path) > 4:
            raise EfiError(Status.NOT_FOUND)
        if buffer is None or size.get() < len(self._data):
            size.set(len(self._data))
            raise EfiError(Status.BUFFER_TOO_SMALL)
        buffer.write(self._data)
        self._loaded(buffer.address, self._data)
        size.set(len(self._data))
        return Status.SUCCESS
