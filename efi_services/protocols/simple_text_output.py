"""EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL (UEFI 2.10, section 12.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.memory_map import MemoryType
from efi_services.service import Member, method, protocol
from efi_services.status import EfiError, Status
from efi_services.structs import Struct, struct
from efi_services.types import UINT32, UINTN, Boolean, CStr16, Out, Pointer

if TYPE_CHECKING:
    from efi_services.firmware import Firmware

COLUMNS, ROWS = 80, 25


@struct
class Mode(Struct):
    """SIMPLE_TEXT_OUTPUT_MODE; the numbers are INT32 in the specification, and never negative here."""

    max_mode: UINT32
    mode: UINT32
    attribute: UINT32
    cursor_column: UINT32
    cursor_row: UINT32
    cursor_visible: Boolean


@protocol("387477c2-69c7-11d2-8e39-00a0c969723b", name="EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL", spec="12.4")
class SimpleTextOutput:
    """A console of 80 × 25 characters whose text is kept and shown, and whose picture nobody sees."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._console = firmware.console
        self._mode_at = firmware.store(self._mode().pack(firmware.abi), MemoryType.BootServicesData, "console mode")

    @property
    def mode_pointer(self) -> int:
        """Where the mode lies."""
        return self._mode_at

    @method("Reset", "12.4.2")
    def reset(self, extended: Boolean) -> Status:
        """Put the cursor home."""
        self._console.attribute = 0x07
        return self.clear_screen()

    @method("OutputString", "12.4.3")
    def output_string(self, text: CStr16) -> Status:
        """Print."""
        self._console.write(text)
        self._firmware.observer.console(text)
        return self._done()

    @method("TestString", "12.4.4")
    def test_string(self, text: CStr16) -> Status:
        """Every character can be shown."""
        return Status.SUCCESS

    @method("QueryMode", "12.4.5")
    def query_mode(self, number: UINTN, columns: Out[UINTN], rows: Out[UINTN]) -> Status:
        """There is one mode."""
        if number != 0:
            raise EfiError(Status.UNSUPPORTED)
        columns.set(COLUMNS)
        rows.set(ROWS)
        return Status.SUCCESS

    @method("SetMode", "12.4.6")
    def set_mode(self, number: UINTN) -> Status:
        """Choose the one mode, which clears the screen."""
        if number != 0:
            raise EfiError(Status.UNSUPPORTED)
        return self.clear_screen()

    @method("SetAttribute", "12.4.7")
    def set_attribute(self, attribute: UINTN) -> Status:
        """Choose colours."""
        if attribute > 0x7F:
            raise EfiError(Status.UNSUPPORTED)
        self._console.attribute = attribute
        return self._done()

    @method("ClearScreen", "12.4.8")
    def clear_screen(self) -> Status:
        """Put the cursor home; the captured text stays."""
        self._console.column = self._console.row = 0
        return self._done()

    @method("SetCursorPosition", "12.4.9")
    def set_cursor_position(self, column: UINTN, row: UINTN) -> Status:
        """Move the cursor."""
        if column >= COLUMNS or row >= ROWS:
            raise EfiError(Status.UNSUPPORTED)
        self._console.column, self._console.row = column, row
        return self._done()

    @method("EnableCursor", "12.4.10")
    def enable_cursor(self, visible: Boolean) -> Status:
        """Show or hide the cursor."""
        self._console.cursor_visible = bool(visible)
        return self._done()

    mode_member = Member("Mode", Pointer, value="mode_pointer")

    def _mode(self) -> Mode:
        console = self._console
        return Mode(1, 0, console.attribute, console.column, console.row, console.cursor_visible)

    def _done(self) -> Status:
        self._firmware.memory.write(self._mode_at, self._mode().pack(self._firmware.abi))
        return Status.SUCCESS
