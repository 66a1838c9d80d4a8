"""EFI_HII_DATABASE_PROTOCOL (UEFI 2.10, section 34.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.hii_packages import LIST_HEADER, MAX_LIST, PackageList, Strings, read_list
from efi_services.service import method, protocol, unsupported
from efi_services.status import EfiError, Status
from efi_services.types import UINT16, Buffer, Guid, Handle, In, InOut, Out

if TYPE_CHECKING:
    from efi_services.firmware import Firmware

#: What all lists together may hold, in bytes.
MAX_KEPT = 64 << 20


@protocol("ef9fc172-a1b2-4693-b327-6d32fc416042", name="EFI_HII_DATABASE_PROTOCOL", spec="34.8")
class HiiDatabase:
    """Keeps the package lists of programs, for their strings: nothing draws forms or fonts."""

    def __init__(self, firmware: Firmware) -> None:
        self._firmware = firmware
        self._lists: dict[int, tuple[PackageList, tuple[Strings, ...], int]] = {}
        self._kept = 0

    def strings(self, handle: int) -> tuple[Strings, ...]:
        """The strings of a package list; raises NOT_FOUND."""
        if handle not in self._lists:
            raise EfiError(Status.NOT_FOUND)
        return self._lists[handle][1]

    @method("NewPackageList", "34.8.2")
    def new_package_list(self, package_list: Buffer, driver: Handle, handle: Out[Handle]) -> Status:
        """Take a package list in."""
        length = int.from_bytes(package_list.read(LIST_HEADER)[16:], "little")
        if not LIST_HEADER <= length <= MAX_LIST:
            raise EfiError(Status.INVALID_PARAMETER)
        if self._kept + length > MAX_KEPT:
            raise EfiError(Status.OUT_OF_RESOURCES)
        taken = read_list(package_list.read(length))
        strings = taken.strings
        new = self._firmware.new_handle()
        self._lists[new] = taken, strings, driver
        self._kept += length
        handle.set(new)
        return Status.SUCCESS

    @method("RemovePackageList", "34.8.3")
    def remove_package_list(self, handle: Handle) -> Status:
        """Forget a package list."""
        if handle not in self._lists:
            raise EfiError(Status.NOT_FOUND)
        self._kept -= len(self._lists.pop(handle)[0].pack())
        self._firmware.discard(handle)
        return Status.SUCCESS

    update_package_list = unsupported("UpdatePackageList", "34.8.4")
    list_package_lists = unsupported("ListPackageLists", "34.8.5")
    export_package_lists = unsupported("ExportPackageLists", "34.8.6")
    register_package_notify = unsupported("RegisterPackageNotify", "34.8.7")
    unregister_package_notify = unsupported("UnregisterPackageNotify", "34.8.8")

    @method("FindKeyboardLayouts", "34.8.9")
    def find_keyboard_layouts(self, length: InOut[UINT16], guids: Buffer | None) -> Status:
        """Tell the GUIDs of all keyboard layouts in the lists."""
        return _answer(b"".join(guid.bytes_le for guid in self._layouts()), length, guids)

    @method("GetKeyboardLayout", "34.8.10")
    def get_keyboard_layout(self, guid: In[Guid] | None, length: InOut[UINT16], layout: Buffer | None) -> Status:
        """Give a keyboard layout. There is no current one, which is what no GUID means: nobody can set it."""
        found = None if guid is None else self._layouts().get(guid)
        if found is None:
            raise EfiError(Status.NOT_FOUND)
        return _answer(found, length, layout)

    set_keyboard_layout = unsupported("SetKeyboardLayout", "34.8.11")

    @method("GetPackageListHandle", "34.8.12")
    def get_package_list_handle(self, handle: Handle, driver: Out[Handle]) -> Status:
        """Tell whose a package list is."""
        if handle not in self._lists:
            raise EfiError(Status.INVALID_PARAMETER)
        driver.set(self._lists[handle][2])
        return Status.SUCCESS

    def _layouts(self) -> dict[Guid, bytes]:
        return {guid: layout for taken, _, _ in self._lists.values() for guid, layout in taken.layouts.items()}


def _answer(data: bytes, length: InOut[int], into: Buffer | None) -> Status:
    room = length.get()
    length.set(len(data))
    if room < len(data):
        raise EfiError(Status.BUFFER_TOO_SMALL)
    if data and into is None:
        raise EfiError(Status.INVALID_PARAMETER)
    if into is not None:
        into.write(data)
    return Status.SUCCESS
