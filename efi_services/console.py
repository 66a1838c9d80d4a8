"""What the guest printed."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Text beyond this many characters is counted, not kept: a payload may print for ever.
MAX_KEPT = 1 << 20


@dataclass(slots=True)
class Console:
    """The text that went to the console, and where the cursor is."""

    column: int = 0
    row: int = 0
    attribute: int = 0x07
    cursor_visible: bool = True
    dropped: int = 0
    _parts: list[str] = field(default_factory=list)
    _length: int = 0

    @property
    def text(self) -> str:
        """Everything printed, line ends as newlines."""
        return "".join(self._parts).replace("\r\n", "\n").replace("\r", "")

    def write(self, text: str) -> None:
        """Print, and move the cursor as section 12.4 says for the control characters."""
        kept = text[: max(MAX_KEPT - self._length, 0)]
        self.dropped += len(text) - len(kept)
        if kept:
            self._parts.append(kept)
        self._length += len(kept)
        for character in text:
            match character:
                case "\r":
                    self.column = 0
                case "\n":
                    self.row = min(self.row + 1, 24)
                case "\b":
                    self.column = max(self.column - 1, 0)
                case _:
                    self.column += 1
                    if self.column == 80:
                        self.column, self.row = 0, min(self.row + 1, 24)
