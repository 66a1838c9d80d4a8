"""Rules about an x86 CPU at the kernel's entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.handoff.verdicts.extents import extents, paging
from shim.handoff.verdicts.rule import X86, BrokenError, rule

if TYPE_CHECKING:
    from shim.handoff.verdicts.rule import Handed

_PE, _PG, _PAE, _LME, _LMA = 1, 1 << 31, 1 << 5, 1 << 8, 1 << 10
_INTERRUPT_FLAG = 0x200
#: Of a segment descriptor (Intel SDM volume 3, section 3.4.5): present, not the system's, code, writable, long, wide.
_PRESENT, _ORDINARY, _CODE, _WRITABLE, _LONG, _WIDE = 1 << 47, 1 << 44, 1 << 43, 1 << 41, 1 << 53, 1 << 54
_FLAT = 0x000F_0000_0000_FFFF
_BASE = 0xFF00_00FF_FFFF_0000
#: What the kernel's first instructions need.
_MAPPED = ("kernel", "boot_params", "command line", "GDT")


@rule("cpu-mode", "x86/boot.rst (64-bit and 32-bit boot protocol)", X86)
def cpu_mode(handed: Handed) -> str:
    """The CPU is in 64-bit mode with paging where the kernel has 64 bits, in protected mode otherwise."""
    cr0, cr4, efer = (handed.register(each) for each in ("cr0", "cr4", "efer"))
    if not cr0 & _PE:
        raise BrokenError("protection is off")
    if not _is_long(handed):
        return "protected mode"
    if not cr0 & _PG or not cr4 & _PAE or not efer & _LME or not efer & _LMA:
        raise BrokenError(f"long mode is not on: CR0 {cr0:#x}, CR4 {cr4:#x}, EFER {efer:#x}")
    return "long mode, with paging"


@rule("segments", "x86/boot.rst (64-bit and 32-bit boot protocol)", X86)
def segments(handed: Handed) -> str:
    """CS is a flat code segment of the kernel's width; DS, ES and SS are flat and writable, or null in 64-bit mode."""
    code = _descriptor(handed, "cs")
    if code is None or not code & _PRESENT or not code & _ORDINARY or not code & _CODE:
        raise BrokenError(f"CS, {handed.register('cs'):#x}, is no code segment of the GDT")
    wide = _is_long(handed)
    if bool(code & _LONG) != wide or (not wide and not code & _WIDE):
        raise BrokenError(f"CS, {handed.register('cs'):#x}, is of another width than the kernel")
    for name in ("ds", "es", "ss"):
        found = _descriptor(handed, name)
        if found is None and wide and not handed.register(name):
            continue
        if found is None or not found & _PRESENT or found & _CODE or not found & _WRITABLE:
            raise BrokenError(f"{name.upper()}, {handed.register(name):#x}, is no writable segment of the GDT")
        if found & _BASE or found & _FLAT != _FLAT:
            raise BrokenError(f"{name.upper()}, {handed.register(name):#x}, is not flat")
    return "CS is code of the kernel's width, DS, ES and SS are flat"


@rule("interrupts-masked", "x86/boot.rst (64-bit and 32-bit boot protocol)", X86)
def interrupts_masked(handed: Handed) -> str:
    """Interrupts are disabled."""
    name = "rflags" if handed.architecture == "x86_64" else "eflags"
    if handed.register(name) & _INTERRUPT_FLAG:
        raise BrokenError("IF is set")
    return "IF is clear"


@rule("identity-map", "x86/boot.rst (64-bit boot protocol)", X86)
def identity_map(handed: Handed) -> str:
    """The kernel, boot_params, the command line and the GDT are mapped at their own addresses, the entry executable."""
    map_ = paging(handed)
    if map_ is None:
        return "paging is off"
    for each in extents(handed):
        if each.name in _MAPPED:
            wrong = map_.unlike_identity(each.start, each.end)
            if wrong is not None:
                raise BrokenError(f"{each}: {wrong:#x} is not mapped at its own address")
    page = map_.walk(handed.state["entry"])
    if page is None or not page.executable:
        raise BrokenError(f"the entry at {handed.state['entry']:#x} can't be executed")
    return "all of it is mapped at its own address, and the entry can be executed"


@rule("boot-params", "x86/zero-page.rst", X86)
def boot_params(handed: Handed) -> str:
    """RSI leads to boot_params that an EFI stub made, and that tell of a loader."""
    if handed.state["boot_params"] is None:
        raise BrokenError("RSI leads to no boot_params that an EFI stub made")
    found = handed.boot_params
    if not found["fields"]["type_of_loader"]:
        raise BrokenError("type_of_loader is 0")
    firmware_bits = 64 if handed.architecture == "x86_64" else 32
    if found["efi_info"]["loader_signature"] != f"EL{firmware_bits}":
        raise BrokenError(
            f"its EFI information is {found['efi_info']['loader_signature']}, the firmware has {firmware_bits} bits"
        )
    return f"they are at {found['address']:#x}"


def _is_long(handed: Handed) -> bool:
    """Whether the kernel is entered with 64 bits: in mixed mode the firmware has 32."""
    return handed.architecture == "x86_64" or bool(handed.register("efer") & _LMA)


def _descriptor(handed: Handed, name: str) -> int | None:
    """The segment descriptor that a segment register selects; None where there is none."""
    selector = handed.register(name)
    offset = selector & 0xFFF8
    if not offset or selector & 4 or offset + 7 > handed.register("gdt_limit"):
        return None
    return int.from_bytes(handed.memory.view(handed.register("gdt_base") + offset, 8), "little")
