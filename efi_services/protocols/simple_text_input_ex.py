"""EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL (UEFI 2.10, section 12.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.protocols.simple_text_input import InputKey
from efi_services.service import Member, method, protocol, unsupported
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import UINT8, UINT32, Boolean, Buffer, EventHandle, Out

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.keyboard import Keyboard

#: What a state begins with that tells anything; toggles that SetState may set.
STATE_VALID = 0x80
_TOGGLES = 0x47


@struct
class KeyState(Struct):
    """EFI_KEY_STATE."""

    shift_state: UINT32
    toggle_state: UINT8


@struct
class KeyData(Struct):
    """EFI_KEY_DATA."""

    key: InputKey
    state: KeyState


@protocol("dd9e7534-7762-4698-8c14-f58517a625aa", name="EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL", spec="12.2")
class SimpleTextInputEx:
    """The same keyboard, with the state of its shift keys: none is ever held."""

    def __init__(self, firmware: Firmware, keyboard: Keyboard) -> None:
        self._keyboard = keyboard
        self._toggles = STATE_VALID
        self.wait_for_key = firmware.events.create_for(keyboard.due)

    @method("Reset", "12.2.2")
    def reset(self, extended: Boolean) -> Status:
        """Bring the keyboard to its first state."""
        self._toggles = STATE_VALID
        return Status.SUCCESS

    @method("ReadKeyStrokeEx", "12.2.3")
    def read_key_stroke_ex(self, data: Out[KeyData]) -> Status:
        """Read the next key; NOT_READY where none was pressed."""
        pressed = self._keyboard.read()
        state = KeyState(STATE_VALID << 24, self._toggles)
        if pressed is None:
            # So that a program can look at shift keys alone.
            data.set(KeyData(InputKey(0, 0), state))
            raise EfiError(Status.NOT_READY)
        data.set(KeyData(InputKey(pressed.scan_code, pressed.character), state))
        return Status.SUCCESS

    wait_member = Member("WaitForKeyEx", EventHandle, value="wait_for_key")

    @method("SetState", "12.2.4")
    def set_state(self, state: Buffer) -> Status:
        """Set the lamps of the keyboard."""
        (toggles,) = state.read(1)
        if not toggles & STATE_VALID or toggles & ~(STATE_VALID | _TOGGLES):
            raise EfiError(Status.UNSUPPORTED)
        self._toggles = toggles
        return Status.SUCCESS

    register_key_notify = unsupported("RegisterKeyNotify", "12.2.5")
    unregister_key_notify = unsupported("UnregisterKeyNotify", "12.2.6")
