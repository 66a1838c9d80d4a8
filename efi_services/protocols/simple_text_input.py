"""EFI_SIMPLE_TEXT_INPUT_PROTOCOL (UEFI 2.10, section 12.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.service import Member, method, protocol
from efi_services.status import EfiError, Status
from efi_services.types import Boolean, Buffer, EventHandle

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


@protocol("387477c1-69c7-11d2-8e39-00a0c969723b", name="EFI_SIMPLE_TEXT_INPUT_PROTOCOL", spec="12.3")
class SimpleTextInput:
    """A keyboard on which nobody presses a key."""

    def __init__(self, firmware: Firmware) -> None:
        self.wait_for_key = firmware.events.create(0, 0, 0, 0, None)

    @method("Reset", "12.3.2")
    def reset(self, extended: Boolean) -> Status:
        """Forget keys: there are none."""
        return Status.SUCCESS

    @method("ReadKeyStroke", "12.3.3")
    def read_key_stroke(self, key: Buffer) -> Status:
        """No key was pressed."""
        raise EfiError(Status.NOT_READY)

    wait_member = Member("WaitForKey", EventHandle, value="wait_for_key")
