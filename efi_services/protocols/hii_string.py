"""EFI_HII_STRING_PROTOCOL (UEFI 2.10, section 34.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.protocols.hii_database import HiiDatabase
from efi_services.protocols.unicode_collation import UnicodeCollation, UnicodeCollation2
from efi_services.service import method, protocol, unsupported
from efi_services.status import EfiError, Status
from efi_services.types import UINT16, Buffer, Bytes, CStr8, Handle, InOut, Out, Pointer

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


@protocol("0fd96974-23aa-4cdc-b9cb-98d17750322a", name="EFI_HII_STRING_PROTOCOL", spec="34.4")
class HiiString:
    """Gives out the strings of package lists."""

    def __init__(self, database: HiiDatabase) -> None:
        self._database = database

    new_string = unsupported("NewString", "34.4.2")

    @method("GetString", "34.4.3")
    def get_string(
        self,
        language: CStr8,
        package_list: Handle,
        string_id: UINT16,
        string: Buffer | None,
        string_size: InOut[Bytes],
        font: Out[Pointer] | None,
    ) -> Status:
        """Give a string in a language; INVALID_LANGUAGE where it exists in others only."""
        if not string_id or (string is None and string_size.get()):
            raise EfiError(Status.INVALID_PARAMETER)
        packages = self._database.strings(package_list)
        found = {each.language.lower(): each.texts[string_id] for each in packages if string_id in each.texts}
        text = found.get(language.lower())
        if text is None:
            raise EfiError(Status.INVALID_LANGUAGE if found else Status.NOT_FOUND)
        _answer(string, string_size, (text + "\0").encode("utf-16-le", "replace"))
        if font is not None:
            font.set(0)  # the system's own
        return Status.SUCCESS

    set_string = unsupported("SetString", "34.4.4")

    @method("GetLanguages", "34.4.5")
    def get_languages(self, package_list: Handle, languages: Buffer | None, languages_size: InOut[Bytes]) -> Status:
        """List the languages of a package list."""
        if languages is None and languages_size.get():
            raise EfiError(Status.INVALID_PARAMETER)
        known = dict.fromkeys(each.language for each in self._database.strings(package_list))
        _answer(languages, languages_size, ";".join(known).encode() + b"\0")
        return Status.SUCCESS

    get_secondary_languages = unsupported("GetSecondaryLanguages", "34.4.6")


def _answer(buffer: Buffer | None, size: InOut[Bytes], data: bytes) -> None:
    """Fill a caller's buffer; raises BUFFER_TOO_SMALL, the size that it takes told."""
    room = size.get()
    size.set(len(data))
    if buffer is None or room < len(data):
        raise EfiError(Status.BUFFER_TOO_SMALL)
    buffer.write(data)


def offer_hii(firmware: Firmware) -> None:
    """All that programs with texts of their own ask for, on platforms that have it."""
    if not firmware.platform.hii:
        return
    database = HiiDatabase(firmware)
    for each in (database, HiiString(database), UnicodeCollation2(firmware), UnicodeCollation(firmware)):
        firmware.offer(each)
