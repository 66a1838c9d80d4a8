"""Text from outside, made fit for a terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """*text* with every control character but tab and newline made visible: a payload may print escape sequences."""
    return "".join(each if each.isprintable() or each in "\t\n" else f"\\x{ord(each):02x}" for each in text)
