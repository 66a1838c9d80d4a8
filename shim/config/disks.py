"""Disks of a platform, and what it boots from them."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from shim.config.values import Model

#: Bytes, where nothing else is said.
BLOCK: Final = 512
#: A machine has no more of them.
MAX_DISKS = 16


class DiskSettings(Model):
    """A disk of the guest, which is read only: an *image* file of a whole disk, or a *folder*, as the files on one.

    *block_size* is an image's, in bytes; a folder's disk has blocks of 512 bytes. The platform of a run has *kind* and
    *sha256* in place of the path, which say what was there.
    """

    image: str | None = None
    folder: str | None = None
    block_size: Literal[512, 4096] = BLOCK
    kind: Literal["image", "folder"] | None = None
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        known = self.kind is not None and self.sha256 is not None
        if (self.image is not None) + (self.folder is not None) + known != 1 or (self.kind is None) != (
            self.sha256 is None
        ):
            raise ValueError("give either image or folder")
        if self.block_size != BLOCK and "folder" in (self.kind, self.folder and "folder"):
            raise ValueError("block_size is for an image")
        return self

    @property
    def path(self) -> Path | None:
        """Where it is on the host, where that is known."""
        where = self.image or self.folder
        return None if where is None else Path(where)


class BootEntry(Model):
    """A boot option: *path* is that of a file on the first file system of disk *disk*.

    *options* are the image's load options. Its number is its place in the list.
    """

    description: str = Field(min_length=1, max_length=200, pattern="^[^\\x00]*$")
    path: str = Field(min_length=1, max_length=260, pattern="^[^\\x00]*$")
    disk: int = Field(default=0, ge=0, lt=MAX_DISKS)
    options: str | None = Field(default=None, max_length=32767)
    active: bool = True
