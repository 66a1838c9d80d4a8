"""Rules about where things lie: in RAM, in memory that stays theirs, and clear of each other."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from efi_services.memory_map import MemoryType
from efi_services.ports import MemoryFault
from shim.handoff.verdicts.extents import UNTIL_REPLACED, extents, initrd_of
from shim.handoff.verdicts.rule import BrokenError, NotApplicableError, rule

if TYPE_CHECKING:
    from shim.handoff.verdicts.extents import Extent
    from shim.handoff.verdicts.rule import Handed

_LOADER = frozenset({MemoryType.LoaderCode, MemoryType.LoaderData})
_KEPT = frozenset(
    {
        MemoryType.ReservedMemoryType,
        MemoryType.RuntimeServicesCode,
        MemoryType.RuntimeServicesData,
        MemoryType.ACPIReclaimMemory,
        MemoryType.ACPIMemoryNVS,
    }
)
_BOOT = frozenset({MemoryType.BootServicesCode, MemoryType.BootServicesData})
_GIGABYTE, _WINDOW = 1 << 30, 32 << 30


@rule("in-ram", "x86/boot.rst, arm64/booting.rst, riscv/boot.rst")
def in_ram(handed: Handed) -> str:
    """The kernel, the initrd, the command line and every table lie in RAM as a whole."""
    count = 0
    for each in extents(handed):
        if not _is_ram(handed, each):
            raise BrokenError(f"{each} is not all RAM")
        count += 1
    return f"{count} things lie in RAM"


@rule("memory-kept", "UEFI 2.10, section 7.2 (table 7.6)")
def memory_kept(handed: Handed) -> str:
    """Nothing that the kernel needs lies in free memory, or in memory of boot services that it is free to give out."""
    for each in extents(handed):
        allowed = _LOADER | _KEPT | (_BOOT if each.name in UNTIL_REPLACED else frozenset())
        # What is no RAM is another rule's.
        wrong = handed.types(each.start, each.end) - allowed if _is_ram(handed, each) else set()
        if wrong:
            names = ", ".join(sorted("none" if one is None else one.name for one in wrong))
            raise BrokenError(f"{each} lies in memory of type {names}")
    return "all of it is the loader's, or reserved; what lies in boot services memory is replaced before that is used"


@rule("no-overlap", "x86/boot.rst, arm64/booting.rst, riscv/boot.rst")
def no_overlap(handed: Handed) -> str:
    """No two of them overlap."""
    found = sorted(extents(handed), key=lambda each: (each.start, each.end))
    for before, after in pairwise(found):
        if after.start < before.end:
            raise BrokenError(f"{before} and {after} overlap")
    return f"{len(found)} things lie clear of each other"


@rule("initrd-near-kernel", "arm64/booting.rst", frozenset({"aarch64"}))
def initrd_near_kernel(handed: Handed) -> str:
    """One window of 32 GiB, aligned to 1 GiB, holds the kernel and the initrd."""
    initrd = initrd_of(handed)
    if initrd is None:
        raise NotApplicableError("there is no initrd")
    if not handed.kernel.known:
        raise NotApplicableError(handed.kernel.why)
    start = min(initrd.start, handed.kernel.base) & -_GIGABYTE
    end = max(initrd.end, handed.kernel.base + handed.kernel.size)
    if end > start + _WINDOW:
        raise BrokenError(f"from {start:#x} to {end:#x} is more than 32 GiB")
    return f"both lie within 32 GiB from {start:#x}"


def _is_ram(handed: Handed, extent: Extent) -> bool:
    try:
        handed.memory.view(extent.start, extent.size)
    except MemoryFault:
        return False
    return True
