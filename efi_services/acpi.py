"""ACPI's root: RSDP and XSDT over the tables that the platform brings (ACPI 6.5, sections 5.2.5 and 5.2.8).

No set of tables is without an FADT and a DSDT (section 5.2.9): readers look for them and don't expect to find none.
GRUB 2.06 walks past the end of an XSDT that has no FADT.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RSDP_SIZE = 36
#: Start method and address of the control area, by the TPM's interface: FIFO at the TPM's usual place, where there is
#: no control area, and CRB with QEMU's.
START_METHODS = {"tis": (6, 0), "crb": (7, 0xFED4_0040)}


def checksummed(table: bytes, at: int, size: int | None = None) -> bytes:
    """The table with the byte at *at* set so that its first *size* bytes add up to zero."""
    covered = table[:size] if size else table
    total = (sum(covered) - table[at]) & 0xFF
    return table[:at] + bytes([-total & 0xFF]) + table[at + 1 :]


def table(signature: bytes, revision: int, body: bytes) -> bytes:
    """A table of the firmware's own: the header that all have (section 5.2.6), and *body*."""
    size = 36 + len(body)
    head = struct.pack("<4sIBB6s8sI4sI", signature, size, revision, 0, b"EFSHIM", b"EFISHIM ", 1, b"SHIM", 1)
    return checksummed(head + body, 9)


def xsdt(addresses: list[int]) -> bytes:
    """The table of tables."""
    return table(b"XSDT", 1, struct.pack(f"<{len(addresses)}Q", *addresses))


def rsdp(xsdt_address: int) -> bytes:
    """The root pointer, revision 2, without an RSDT."""
    table = struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, b"EFSHIM", 2, 0, RSDP_SIZE, xsdt_address, 0)
    return checksummed(checksummed(table, 8, 20), 32)


def dsdt() -> bytes:
    """A definition block that defines nothing (section 5.2.11.1)."""
    return table(b"DSDT", 2, b"")


def fadt(*, x86: bool) -> bytes:
    """The fixed description of a machine without ACPI's fixed hardware (section 5.2.9): no PM timer, no PM1 registers.

    Outside x86 that is hardware-reduced ACPI. An x86 machine has its old interrupt controllers and timers all the same,
    which a kernel would not look for if it were told of that.
    """
    body = bytearray(276 - 36)
    # Behind a common header of 36 bytes: Flags (WBINVD, or HW_REDUCED_ACPI), minor version.
    struct.pack_into("<I", body, 112 - 36, 1 if x86 else 1 << 20)
    body[131 - 36] = 5
    return table(b"FACP", 6, bytes(body))


def complete(given: Sequence[bytes], *, x86: bool) -> tuple[bytes, ...]:
    """With a FADT, and with a DSDT for it to point to."""
    names = {each[:4] for each in given}
    if b"FACP" in names:
        return tuple(given)
    return (*given, *(() if b"DSDT" in names else (dsdt(),)), fadt(x86=x86))


def provide(given: Sequence[bytes], store: Callable[[bytes], int]) -> list[int]:
    """Put tables into memory, and give the addresses that the XSDT lists.

    The DSDT is not among them: the FADT points to it (section 5.2.9), and to the FACS where the machine has one.
    """
    devices = 0
    listed = []
    for each in sorted(given, key=lambda one: one[:4] != b"DSDT"):
        table = each
        if each[:4] == b"FACP":
            if devices:
                table = linked(table, devices, 40, 140)
            if has_fixed_hardware(each):
                table = linked(table, store(facs()), 36, 132)
        address = store(table)
        if each[:4] == b"DSDT":
            devices = address
        else:
            listed.append(address)
    return listed


def linked(fixed: bytes, to: int, narrow: int, wide: int) -> bytes:
    """A FADT that points *to* a table, in the field of 32 bits at *narrow* and in that of 64 bits at *wide*.

    One that is not there, or is too narrow, is left alone.
    """
    for at, size in ((narrow, 4), (wide, 8)):
        if len(fixed) >= at + size and not to >> 8 * size:
            fixed = fixed[:at] + to.to_bytes(size, "little") + fixed[at + size :]
    return checksummed(fixed, 9)


def facs() -> bytes:
    """Where a kernel leaves what a machine that wakes up goes on with (section 5.2.10); no table like the others."""
    return struct.pack("<4sI24xB31x", b"FACS", 64, 1)


def has_fixed_hardware(fixed: bytes) -> bool:
    """Whether a FADT tells of PM1's registers, which come with a FACS (section 4.8)."""
    return len(fixed) >= 68 and any(fixed[64:68])


def ccel(kind: int, log: int, size: int) -> bytes:
    """Where the event log of confidential computing is (UEFI 2.10, section 38.2.1's EFI_CC_TYPE; ACPI 6.5, 5.2.34)."""
    return table(b"CCEL", 1, struct.pack("<BBHQQ", kind, 0, 0, size, log))


def tpm2(interface: str, log: int, size: int) -> bytes:
    """How to talk to the TPM, *interface* of START_METHODS, and where its event log is (TCG ACPI 1.2, section 7.3).

    Revision 4, for a client platform, as QEMU has it.
    """
    method, control_area = START_METHODS[interface]
    return table(b"TPM2", 4, struct.pack("<HHQI12xIQ", 0, 0, control_area, method, size, log))
