"""The rule about the screen that a kernel is told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.framebuffer import PIXEL_BYTES
from shim.handoff.verdicts.rule import X86, BrokenError, NotApplicableError, rule

if TYPE_CHECKING:
    from shim.handoff.verdicts.rule import Handed

#: VIDEO_TYPE_EFI of include/uapi/linux/screen_info.h.
_EFI = 0x70


@rule("screen", "UEFI 2.10, section 12.9; include/uapi/linux/screen_info.h", X86)
def screen(handed: Handed) -> str:
    """The screen of `boot_params` is the framebuffer of the graphics output protocol, in the mode that it is in."""
    fields, there = handed.boot_params["fields"], handed.state.get("framebuffer")
    told = fields["screen_orig_video_isVGA"] == _EFI
    if there is None:
        if told:
            raise BrokenError("the kernel is told of an EFI framebuffer, and there is none")
        raise NotApplicableError("the platform has no screen")
    if not told:
        raise BrokenError(f"the kernel is not told of the framebuffer at {there['address']:#x}")
    rows = there["width"] * PIXEL_BYTES
    wanted = {
        "lfb_base": there["address"] & 0xFFFF_FFFF, "ext_lfb_base": there["address"] >> 32,
        "lfb_width": there["width"], "lfb_height": there["height"], "lfb_depth": 8 * PIXEL_BYTES,
        "lfb_linelength": rows, "lfb_size": rows * there["height"],
    }  # fmt: skip
    wrong = [
        f"{name} is {fields[f'screen_{name}']:#x} in place of {value:#x}"
        for name, value in wanted.items()
        if fields[f"screen_{name}"] != value
    ]
    if wrong:
        raise BrokenError("; ".join(wrong))
    return f"{there['width']} by {there['height']} pixels at {there['address']:#x}"
