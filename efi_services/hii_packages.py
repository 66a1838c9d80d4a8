"""Package lists of the human interface infrastructure, and the strings in them (UEFI 2.10, section 33.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.status import EfiError, Status
from efi_services.types import Guid

if TYPE_CHECKING:
    from collections.abc import Iterator

#: EFI_HII_PACKAGE_LIST_HEADER, and the header of a package with its length and type in one word.
LIST_HEADER, PACKAGE_HEADER = 20, 4
#: EFI_HII_STRING_PACKAGE_HDR up to the language.
_STRINGS_HEADER = 46
#: Types of packages.
STRINGS, LAYOUTS, END = 0x04, 0x09, 0xDF
#: The length and the GUID that a keyboard layout begins with.
_LAYOUT_HEADER = 18
#: A list of packages is no longer.
MAX_LIST = 16 << 20
#: Identifiers have 16 bits, and begin at 1.
_MAX_STRINGS = 0xFFFF


@dataclass(frozen=True, slots=True)
class Strings:
    """The strings of one language, by their identifiers."""

    language: str
    texts: dict[int, str]


@dataclass(frozen=True, slots=True)
class PackageList:
    """A list of packages, as it was given but for its length."""

    guid: Guid
    packages: tuple[bytes, ...]

    @property
    def strings(self) -> tuple[Strings, ...]:
        """Its string packages, in their order."""
        return tuple(read_strings(each) for each in self.packages if each[3] == STRINGS)

    @property
    def layouts(self) -> dict[Guid, bytes]:
        """Its keyboard layouts, the first of each GUID."""
        found: dict[Guid, bytes] = {}
        for package in self.packages:
            if package[3] == LAYOUTS:
                for layout in _layouts(package):
                    found.setdefault(Guid(bytes_le=layout[2:_LAYOUT_HEADER]), layout)
        return found

    def pack(self) -> bytes:
        """The list as it lies in memory, its end included."""
        end = struct.pack("<I", PACKAGE_HEADER | END << 24)
        body = b"".join(self.packages) + end
        return self.guid.bytes_le + struct.pack("<I", LIST_HEADER + len(body)) + body


def read_list(data: bytes) -> PackageList:
    """The package list at the start of *data*; raises INVALID_PARAMETER for one that is none."""
    if len(data) < LIST_HEADER:
        raise EfiError(Status.INVALID_PARAMETER)
    (length,) = struct.unpack_from("<I", data, 16)
    if length > len(data):
        raise EfiError(Status.INVALID_PARAMETER)
    packages: list[bytes] = []
    at = LIST_HEADER
    while True:
        if at + PACKAGE_HEADER > length:
            raise EfiError(Status.INVALID_PARAMETER)
        (word,) = struct.unpack_from("<I", data, at)
        size, kind = word & 0xFF_FFFF, word >> 24
        if kind == END:
            return PackageList(Guid(bytes_le=data[:16]), tuple(packages))
        if size < PACKAGE_HEADER or at + size > length:
            raise EfiError(Status.INVALID_PARAMETER)
        packages.append(data[at : at + size])
        at += size


def read_strings(package: bytes) -> Strings:
    """A string package's language and strings; raises INVALID_PARAMETER for a malformed one."""
    try:
        _, offset = struct.unpack_from("<II", package, PACKAGE_HEADER)
        end = package.index(b"\0", _STRINGS_HEADER)
        language = package[_STRINGS_HEADER:end].decode("ascii")
        return Strings(language, dict(_blocks(package, offset)))
    except (struct.error, ValueError, IndexError):
        raise EfiError(Status.INVALID_PARAMETER) from None


def _layouts(package: bytes) -> Iterator[bytes]:
    """The layouts of a package of them (section 33.3.10), as far as they are whole."""
    at = PACKAGE_HEADER + 2
    for _ in range(int.from_bytes(package[PACKAGE_HEADER:at], "little")):
        layout = package[at : at + int.from_bytes(package[at : at + 2], "little")]
        if len(layout) < _LAYOUT_HEADER or len(layout) != int.from_bytes(layout[:2], "little"):
            return
        yield layout
        at += len(layout)


def _blocks(package: bytes, at: int) -> Iterator[tuple[int, str]]:
    """Identifiers and strings of the blocks from *at* on (section 33.3.6.2); a duplicate has its original's string."""
    known: dict[int, str] = {}
    number = 1
    while kind := package[at]:
        at += 1
        many = 1
        match kind:
            case 0x10 | 0x14:  # a string in the compressed form, or of 16-bit characters
                pass
            case 0x11 | 0x15:  # and with a font
                at += 1
            case 0x12 | 0x16:  # several
                (many,) = struct.unpack_from("<H", package, at)
                at += 2
            case 0x13 | 0x17:  # several, and with a font
                (many,) = struct.unpack_from("<H", package, at + 1)
                at += 3
            case 0x20:
                (original,) = struct.unpack_from("<H", package, at)
                known[number] = known.get(original, "")
                yield number, known[number]
                number, at, many = number + 1, at + 2, 0
            case 0x21 | 0x22:
                skipped = struct.unpack_from("<H", package, at)[0] if kind == 0x21 else package[at]
                number, at, many = number + skipped, at + (2 if kind == 0x21 else 1), 0
            case 0x30 | 0x31 | 0x32:  # extensions tell their own length, this header included
                form = {0x30: "<xB", 0x31: "<xH", 0x32: "<xI"}[kind]
                (length,) = struct.unpack_from(form, package, at)
                if length < 1 + struct.calcsize(form):
                    raise ValueError("a block that ends before its beginning")
                at, many = at - 1 + length, 0
            case _:
                raise ValueError("no such block")
        for _ in range(many):
            if number > _MAX_STRINGS:
                raise ValueError("more strings than identifiers")
            text, at = _wide(package, at) if kind >= 0x14 else _narrow(package, at)
            known[number] = text
            yield number, text
            number += 1


def _wide(package: bytes, at: int) -> tuple[str, int]:
    end = at
    while package[end : end + 2] != b"\0\0":
        if end + 2 > len(package):
            raise ValueError("a string without an end")
        end += 2
    return package[at:end].decode("utf-16-le", "replace"), end + 2


def _narrow(package: bytes, at: int) -> tuple[str, int]:
    """Of the standard compression scheme, only what is as in Latin-1; nobody was seen to use more."""
    end = package.index(b"\0", at)
    return package[at:end].decode("latin-1"), end + 1
