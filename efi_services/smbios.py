"""The SMBIOS 3 entry point (DMTF DSP0134 3.7, section 5.2.2) over the structures that the platform brings."""

from __future__ import annotations

import struct

from efi_services.acpi import checksummed


def entry_point(address: int, size: int) -> bytes:
    """The 64-bit entry point of a structure table of *size* bytes at *address*."""
    point = struct.pack("<5sBBBBBBBIQ", b"_SM3_", 0, 24, 3, 7, 0, 1, 0, size, address)
    return checksummed(point, 5)
