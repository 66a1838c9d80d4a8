"""The screen of a platform: what its graphics output protocol offers."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from shim.config.values import Model

#: Neither side of a screen is longer.
MAX_SIDE = 8192

Resolution = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$")]


class Graphics(Model):
    """A screen, as QEMU's ramfb device: a framebuffer in RAM and EFI_GRAPHICS_OUTPUT_PROTOCOL.

    *modes* are resolutions such as 1024x768, in the order of their numbers; *mode* is the one at power-on.
    """

    modes: tuple[Resolution, ...] = Field(default=("640x480", "800x600", "1024x768", "1280x800"), min_length=1)
    mode: Resolution = "1280x800"

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if len(set(self.modes)) < len(self.modes):
            raise ValueError("a mode is there twice")
        if self.mode not in self.modes:
            raise ValueError(f"{self.mode} is none of the modes")
        if max(side for sides in self.sizes for side in sides) > MAX_SIDE:
            raise ValueError(f"a screen has {MAX_SIDE} pixels in a row, and as many rows, at most")
        return self

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each mode."""
        return tuple((int(width), int(height)) for width, _, height in (each.partition("x") for each in self.modes))
