"""EFI_SIMPLE_TEXT_INPUT_PROTOCOL (UEFI 2.10, section 12.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.service import Member, method, protocol
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import UINT16, Boolean, EventHandle, Out

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.keyboard import Keyboard


@struct
class InputKey(Struct):
    """EFI_INPUT_KEY."""

    scan_code: UINT16
    unicode_char: UINT16


@protocol("387477c1-69c7-11d2-8e39-00a0c969723b", name="EFI_SIMPLE_TEXT_INPUT_PROTOCOL", spec="12.3")
class SimpleTextInput:
    """A keyboard on which a script presses the keys, if there is one."""

    def __init__(self, firmware: Firmware, keyboard: Keyboard) -> None:
        self._keyboard = keyboard
        self.wait_for_key = firmware.events.create_for(keyboard.due)

    @method("Reset", "12.3.2")
    def reset(self, extended: Boolean) -> Status:
        """Bring the keyboard to its first state; keys that the script has not pressed yet will come all the same."""
        return Status.SUCCESS

    @method("ReadKeyStroke", "12.3.3")
    def read_key_stroke(self, key: Out[InputKey]) -> Status:
        """Read the next key; NOT_READY where none was pressed."""
        pressed = self._keyboard.read()
        if pressed is None:
            raise EfiError(Status.NOT_READY)
        # A letter with Control is a control character (section 12.3.3).
        character = pressed.character & 0x1F if pressed.control else pressed.character
        key.set(InputKey(pressed.scan_code, character))
        return Status.SUCCESS

    wait_member = Member("WaitForKey", EventHandle, value="wait_for_key")
