"""Text from outside, made fit for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def plain(text: str) -> str:
    """*text* with every control character but tab and newline made visible: a payload may print escape sequences."""
    return "".join(each if each.isprintable() or each in "\t\n" else f"\\x{ord(each):02x}" for each in text)


def one_line(text: str) -> str:
    """`plain` text in which line ends and tabs are visible too."""
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def stdout_console() -> Console:
    """For tables on stdout: as wide as the terminal, and without folding where the reader is another program."""
    # What hands on text, such as a guest's, need not wait for it.
    from rich.console import Console

    console = Console(highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = 100_000
    return console
