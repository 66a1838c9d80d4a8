"""ACPI's root: RSDP and XSDT over the tables that the platform brings (ACPI 6.5, sections 5.2.5 and 5.2.8)."""

from __future__ import annotations

import struct

RSDP_SIZE = 36


def checksummed(table: bytes, at: int, size: int | None = None) -> bytes:
    """The table with the byte at *at* set so that its first *size* bytes add up to zero."""
    covered = table[:size] if size else table
    total = (sum(covered) - table[at]) & 0xFF
    return table[:at] + bytes([-total & 0xFF]) + table[at + 1 :]


def xsdt(addresses: list[int]) -> bytes:
    """The table of tables."""
    size = 36 + 8 * len(addresses)
    head = struct.pack("<4sIBB6s8sI4sI", b"XSDT", size, 1, 0, b"EFSHIM", b"EFISHIM ", 1, b"SHIM", 1)
    return checksummed(head + struct.pack(f"<{len(addresses)}Q", *addresses), 9)


def rsdp(xsdt_address: int) -> bytes:
    """The root pointer, revision 2, without an RSDT."""
    table = struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, b"EFSHIM", 2, 0, RSDP_SIZE, xsdt_address, 0)
    return checksummed(checksummed(table, 8, 20), 32)


def ccel(kind: int, log: int, size: int) -> bytes:
    """Where the event log of confidential computing is (UEFI 2.10, section 38.2.1's EFI_CC_TYPE; ACPI 6.5, 5.2.34)."""
    head = struct.pack("<4sIBB6s8sI4sI", b"CCEL", 56, 1, 0, b"EFSHIM", b"EFISHIM ", 1, b"SHIM", 1)
    return checksummed(head + struct.pack("<BBHQQ", kind, 0, 0, size, log), 9)
