"""Rules about the kernel itself: where it lies, and that it is what was to be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.handoff import kernel_image
from shim.handoff.verdicts.rule import BrokenError, NotApplicableError, rule

if TYPE_CHECKING:
    from shim.handoff.kernel_image import Kernel
    from shim.handoff.verdicts.rule import Handed


#: Bytes of a stub's own variables in a plain Image; in Debian's, five change.
_MOST_CHANGED = 4096


@rule("kernel-aligned", "x86/boot.rst (kernel_alignment), arm64/booting.rst, riscv/boot.rst")
def kernel_aligned(handed: Handed) -> str:
    """The kernel lies at a multiple of the alignment that its header or its architecture wants."""
    kernel = _known(handed)
    if kernel.base % kernel.alignment:
        raise BrokenError(f"the kernel lies at {kernel.base:#x}, which is no multiple of {kernel.alignment:#x}")
    return f"the kernel lies at {kernel.base:#x}, a multiple of {kernel.alignment:#x}"


@rule("kernel-bytes", "the file that was started")
def kernel_bytes(handed: Handed) -> str:
    """The kernel in memory is what its file holds, unpacked, but for relocation and the stub's own variables."""
    if handed.kernel.damaged:
        raise BrokenError(handed.kernel.why)
    kernel = _known(handed)
    memory = handed.memory.view(kernel.base, kernel.size)
    if kernel.elf is not None:
        wrong = kernel.elf.difference(memory)
        if wrong is not None:
            raise BrokenError(f"the kernel differs from the file's at {kernel.base + wrong:#x}")
        loaded = sum(len(each.data) for each in kernel.elf.segments)
        moved = sum(map(len, kernel.elf.relocations))
        return f"{loaded:,} bytes are as the file has them, {moved:,} relocated places apart"
    assert kernel.image is not None
    place, changed = kernel_image.differences(kernel.image, memory)
    if place is not None:
        raise BrokenError(f"the kernel differs from the file's at {kernel.base + place:#x}")
    if changed > _MOST_CHANGED:
        raise BrokenError(f"{changed:,} bytes of the kernel's data are not the file's, more than a stub has variables")
    return (
        f"what may not be written is as in the file; of the data, {changed:,} bytes differ, where a stub has variables"
    )


def _known(handed: Handed) -> Kernel:
    if not handed.kernel.known:
        raise NotApplicableError(handed.kernel.why)
    return handed.kernel
