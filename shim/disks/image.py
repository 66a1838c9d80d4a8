"""A file of the host as a disk: raw blocks, which are read only."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from efi_services.ports import DiskError
from shim.config.disks import BLOCK
from shim.errors import UnreadableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 64 << 30
_CHUNK = 1 << 20


class DiskImage:
    """The `BlockDevice` port over a file. *digest* is of all its bytes."""

    def __init__(self, where: Path, block_size: int = BLOCK) -> None:
        """Open and hash a file.

        Raises:
            UsageError: it is too large, or too small to be a disk.
            UnreadableError: it can't be read.
        """
        self._name = where.name
        self.block_size = block_size
        try:
            # A FIFO without a writer must not hang us.
            self._descriptor = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise UnreadableError(f"{where}: {error.strerror}") from None
        try:
            self._state = os.fstat(self._descriptor)
            if not stat.S_ISREG(self._state.st_mode):
                raise UnreadableError(f"{where}: not a regular file")
            self.blocks = self._state.st_size // block_size
            if not 0 < self.blocks <= MAX_BYTES // block_size:
                raise UsageError(
                    f"{where}: {self._state.st_size} bytes are no disk; {MAX_BYTES >> 30} GiB are the most"
                )
            self.digest = self._hash()
        except OSError as error:
            self.close()
            raise UnreadableError(f"{where}: {error.strerror}") from None
        except BaseException:
            self.close()
            raise

    def read(self, block: int, count: int) -> bytes:
        """Whole blocks; raises DiskError, also where the file is not what it was when the run began."""
        try:
            state = os.fstat(self._descriptor)
            data = read_at(self._descriptor, block * self.block_size, count * self.block_size)
        except OSError as error:
            raise DiskError(f"{self._name}: {error.strerror}") from None
        if (state.st_size, state.st_mtime_ns) != (self._state.st_size, self._state.st_mtime_ns):
            raise DiskError(f"{self._name} was changed while the run went on")
        if len(data) != count * self.block_size:
            raise DiskError(f"{self._name}: block {block + len(data) // self.block_size} is behind its end")
        return data

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _hash(self) -> str:
        total, at = hashlib.sha256(), 0
        while piece := os.pread(self._descriptor, _CHUNK, at):
            total.update(piece)
            at += len(piece)
        return total.hexdigest()


def read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Read whole; fewer bytes at the file's end only. Raises OSError."""
    data = bytearray()
    while len(data) < size:
        piece = os.pread(descriptor, size - len(data), offset + len(data))
        if not piece:
            break
        data += piece
    return bytes(data)
