"""EFI_LOADED_IMAGE_PROTOCOL (UEFI 2.10, section 9.1)."""

from __future__ import annotations

from efi_services.structs import Struct, struct
from efi_services.types import UINT32, UINT64, Handle, Pointer

REVISION = 0x1000


@struct
class LoadedImage(Struct):
    """What an image may know of itself. Only data; `unload` is set by images that allow to be unloaded."""

    revision: UINT32 = REVISION
    parent_handle: Handle = 0
    system_table: Pointer = 0
    device_handle: Handle = 0
    file_path: Pointer = 0
    reserved: Pointer = 0
    load_options_size: UINT32 = 0
    load_options: Pointer = 0
    image_base: Pointer = 0
    image_size: UINT64 = 0
    image_code_type: UINT32 = 0
    image_data_type: UINT32 = 0
    unload: Pointer = 0
