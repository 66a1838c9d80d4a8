"""EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL (UEFI 2.10, section 12.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.memory_map import MemoryType
from efi_services.protocols.simple_text_input import InputKey
from efi_services.service import Member, method, protocol
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import UINT8, UINT32, Boolean, Buffer, EventHandle, Handle, In, Out, Pointer, Tpl

if TYPE_CHECKING:
    from efi_services.firmware import Firmware
    from efi_services.keyboard import Key, Keyboard

#: What a state begins with that tells anything; toggles that SetState may set.
STATE_VALID = 0x80
_TOGGLES = 0x47
LEFT_CONTROL = 0x08


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


@dataclass(frozen=True, slots=True)
class _Registration:
    """A key that a program wants to know of, its function, and where that finds the key."""

    key: KeyData
    function: int
    at: int

    def wants(self, state: KeyState) -> bool:
        """Whether shift keys and lamps are as asked for; 0 stands for any."""
        asked = self.key.state
        return asked.shift_state in (0, state.shift_state) and asked.toggle_state in (0, state.toggle_state)


@protocol("dd9e7534-7762-4698-8c14-f58517a625aa", name="EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL", spec="12.2")
class SimpleTextInputEx:
    """The same keyboard, with the state of its shift keys."""

    def __init__(self, firmware: Firmware, keyboard: Keyboard) -> None:
        self._firmware = firmware
        self._keyboard = keyboard
        #: By the handle that a program got for them.
        self._registered: dict[int, _Registration] = {}
        keyboard.listeners.append(self._tell)
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
        state = self._state()
        if pressed is None:
            # So that a program can look at shift keys alone.
            data.set(KeyData(InputKey(0, 0), state))
            raise EfiError(Status.NOT_READY)
        data.set(self._data(pressed))
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

    @method("RegisterKeyNotify", "12.2.5")
    def register_key_notify(self, key: In[KeyData], function: Pointer, handle: Out[Handle]) -> Status:
        """Call a function for each key of a kind, when somebody reads it."""
        if not function:
            raise EfiError(Status.INVALID_PARAMETER)
        known = next((each for each, was in self._registered.items() if (was.key, was.function) == (key, function)), 0)
        if not known:
            size = KeyData.sizeof(self._firmware.abi)
            at = self._firmware.store(bytes(size), MemoryType.BootServicesData, "key of a notification")
            known = self._firmware.events.create_call(Tpl.CALLBACK, function, (at,))
            self._registered[known] = _Registration(key, function, at)
        handle.set(known)
        return Status.SUCCESS

    @method("UnregisterKeyNotify", "12.2.6")
    def unregister_key_notify(self, handle: Handle) -> Status:
        """Call it no more."""
        if handle not in self._registered:
            raise EfiError(Status.INVALID_PARAMETER)
        self._firmware.events.close(handle)
        self._firmware.discard(self._registered.pop(handle).at)
        return Status.SUCCESS

    def _state(self, shift: int = 0) -> KeyState:
        return KeyState(STATE_VALID << 24 | shift, self._toggles)

    def _data(self, key: Key) -> KeyData:
        shift = LEFT_CONTROL if key.control else 0
        return KeyData(InputKey(key.scan_code, key.character), self._state(shift))

    def _tell(self, pressed: Key) -> None:
        """Somebody reads a key: let those know who have asked for it."""
        data = self._data(pressed)
        for event, each in self._registered.items():
            if each.key.key == data.key and each.wants(data.state):
                self._firmware.memory.write(each.at, data.pack(self._firmware.abi))
                self._firmware.events.signal(event)
