"""CBOR as far as event logs need it (RFC 8949): numbers, strings, arrays and maps of known length.

A general reader makes objects of whatever tags a file has; here tags are refused, and what an item may hold is bounded.
"""

from __future__ import annotations

from typing import Any

#: How many values one item may come to, and how deep they may lie.
MAX_VALUES = 4096
MAX_DEPTH = 8

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_SIMPLE_VALUES = {20: False, 21: True, 22: None}
_INDEFINITE = 31


class CborError(ValueError):
    """It is not CBOR of that kind."""


class Reader:
    """Reads items one after the other; `at` is the offset of the next."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._values = 0
        self.at = 0

    def array(self) -> int | None:
        """Begin an array: its length, or None where its end will be marked."""
        major, length = self._head()
        if major != _ARRAY:
            raise CborError("it is no array")
        return length

    def ends(self) -> bool:
        """Whether the end of an array of unknown length is here; if so, go over it."""
        if self._data[self.at : self.at + 1] != b"\xff":
            return False
        self.at += 1
        return True

    def item(self) -> Any:
        """The next item, whole."""
        self._values = 0
        return self._item(0)

    def _item(self, depth: int) -> Any:
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            raise CborError("it is nested too deep, or holds too much")
        major, length = self._head()
        if length is None:
            raise CborError("something in it has no length")
        match major:
            case 0:
                return length
            case 1:
                return -1 - length
            case 2:
                return self._take(length)
            case 3:
                return self._text(length)
            case 4:
                return [self._item(depth + 1) for _ in range(length)]
            case 5:
                return self._map(length, depth)
            case 7 if length in _SIMPLE_VALUES:
                return _SIMPLE_VALUES[length]
        raise CborError("it has a tag, or a number that is no integer")

    def _map(self, length: int, depth: int) -> dict[int | str, Any]:
        found: dict[int | str, Any] = {}
        for _ in range(length):
            key = self._item(depth + 1)
            if not isinstance(key, int | str) or key in found:
                raise CborError("a map has a key twice, or one that is neither text nor number")
            found[key] = self._item(depth + 1)
        return found

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode()
        except UnicodeDecodeError:
            raise CborError("its text is not UTF-8") from None

    def _head(self) -> tuple[int, int | None]:
        """The major type, and its argument; None where the length is indefinite."""
        first = self._take(1)[0]
        major, short = first >> 5, first & 0x1F
        if short < 24:
            return major, short
        if short < 28:
            return major, int.from_bytes(self._take(1 << (short - 24)), "big")
        if short == _INDEFINITE and major in (_BYTES, _TEXT, _ARRAY, _MAP):
            return major, None
        raise CborError("it is no CBOR")

    def _take(self, size: int) -> bytes:
        found = self._data[self.at : self.at + size]
        if len(found) < size:
            raise CborError(f"{size} bytes are wanted, and {len(found)} are left")
        self.at += size
        return found
