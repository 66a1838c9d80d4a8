"""EFI_UNICODE_COLLATION_PROTOCOL in both of its versions (UEFI 2.10, section 12.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import collation
from efi_services.memory_map import MemoryType
from efi_services.service import Member, method, protocol
from efi_services.types import MAX_STRING, Boolean, Buffer, Bytes, CStr16, Pointer, read_bytes_to_nul, read_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.firmware import Firmware


@protocol("a4c751fc-23ae-4c3e-92e9-4964cf63f349", name="EFI_UNICODE_COLLATION_PROTOCOL2", spec="12.10")
class UnicodeCollation2:
    """Compares text as English has it; languages are named as in RFC 4646."""

    languages = "en"

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        data = self.languages.encode() + b"\0"
        self._languages = firmware.store(data, MemoryType.BootServicesData, "languages of collation")

    @property
    def supported_languages(self) -> int:
        """Where the names of the languages lie."""
        return self._languages

    @method("StriColl", "12.10.2.1")
    def stri_coll(self, first: CStr16, second: CStr16) -> int:
        """Compare two strings, whatever their case: negative, 0 or positive."""
        return collation.compare(first, second) & ((1 << 8 * self._firmware.abi.pointer_bytes) - 1)

    @method("MetaiMatch", "12.10.2.2")
    def metai_match(self, string: CStr16, pattern: CStr16) -> Boolean:
        """Tell whether a string is like a pattern, whatever the case."""
        return int(collation.matches(string, pattern))

    @method("StrLwr", "12.10.2.3")
    def str_lwr(self, string: Buffer) -> None:
        """Make all letters of a string small."""
        self._change(string, collation.lower)

    @method("StrUpr", "12.10.2.4")
    def str_upr(self, string: Buffer) -> None:
        """Make all letters of a string capitals."""
        self._change(string, collation.upper)

    @method("FatToStr", "12.10.2.5")
    def fat_to_str(self, fat_size: Bytes, fat: Buffer, string: Buffer) -> None:
        """Make a string of a name of 8-bit characters, which ends at a NUL or after so many bytes."""
        name = read_bytes_to_nul(self._firmware.memory, fat.address, min(fat_size, MAX_STRING))
        string.write((name.decode("latin-1") + "\0").encode("utf-16-le"))

    @method("StrToFat", "12.10.2.6")
    def str_to_fat(self, string: CStr16, fat_size: Bytes, fat: Buffer) -> Boolean:
        """Make a name of 8-bit characters of a string, and tell whether some had to be replaced."""
        name, replaced = collation.to_fat(string, fat_size)
        fat.write(name)
        return int(replaced)

    languages_member = Member("SupportedLanguages", Pointer, value="supported_languages")

    def _change(self, string: Buffer, change: Callable[[str], str]) -> None:
        text = read_text(self._firmware.memory, string.address)
        string.write(change(text).encode("utf-16-le", "replace"))


@protocol("1d85cd7f-f43d-11d2-9a0c-0090273fc14d", name="EFI_UNICODE_COLLATION_PROTOCOL", spec="12.10")
class UnicodeCollation(UnicodeCollation2):
    """The older one, whose languages are named as in ISO 639-2."""

    languages = "eng"
