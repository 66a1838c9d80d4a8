"""The system table of UEFI 2.10, chapter 4, and the header of all three: what is read of them without any service."""

from __future__ import annotations

from efi_services.structs import Struct, struct
from efi_services.types import UINT32, UINT64, UINTN, Handle, Pointer


@struct
class TableHeader(Struct):
    """EFI_TABLE_HEADER (section 4.2)."""

    signature: UINT64
    revision: UINT32
    header_size: UINT32
    crc32: UINT32
    reserved: UINT32


@struct
class SystemTable(Struct):
    """EFI_SYSTEM_TABLE (section 4.3)."""

    header: TableHeader
    firmware_vendor: Pointer
    firmware_revision: UINT32
    console_in_handle: Handle
    con_in: Pointer
    console_out_handle: Handle
    con_out: Pointer
    standard_error_handle: Handle
    std_err: Pointer
    runtime_services: Pointer
    boot_services: Pointer
    number_of_table_entries: UINTN
    configuration_table: Pointer


#: EFI_RT_PROPERTIES_TABLE's bit of each runtime service (section 4.6.2), in the order of the bits.
RUNTIME_PROPERTY_BITS = (
    "GetTime",
    "SetTime",
    "GetWakeupTime",
    "SetWakeupTime",
    "GetVariable",
    "GetNextVariableName",
    "SetVariable",
    "SetVirtualAddressMap",
    "ConvertPointer",
    "GetNextHighMonotonicCount",
    "ResetSystem",
    "UpdateCapsule",
    "QueryCapsuleCapabilities",
    "QueryVariableInfo",
)
