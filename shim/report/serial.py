"""What a guest writes to its serial port, on stdout."""

from __future__ import annotations

import codecs
from typing import TextIO

from shim.report.text import plain


class Serial:
    """Hands bytes on as they are; on a terminal, as text that can't steer it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode if out.isatty() else None

    def write(self, data: bytes) -> None:
        """Some bytes, at once."""
        if self._decode is None:
            self._out.buffer.write(data)
        else:
            self._out.write(plain(self._decode(data).replace("\r", "")))
        self._out.flush()

    def close(self) -> None:
        """What comes next begins a line of its own."""
        if self._decode is not None:
            self._out.write("\n")
            self._out.flush()
