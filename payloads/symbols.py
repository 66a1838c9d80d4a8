"""The function symbols of a PE image: its COFF symbol table, as GNU and LLVM linkers can write it (PE/COFF 5.4).

EFI images are seldom delivered with one. LIEF reads it, and is imported only for files that have one: that takes half
a second.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from payloads.model import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lief

MAX_SYMBOLS = 1 << 20
MAX_NAME_CHARACTERS = 64 << 20  # of all names together: each can be the file's whole string table
_SYMBOL_BYTES = 18
_EXTERNAL, _STATIC = 2, 3


def function_symbols(data: bytes) -> list[tuple[int, str]]:
    """The functions that a PE file has symbols for; none where the table is missing or damaged.

    Args:
        data: the whole file.

    Returns:
        RVA and name, in ascending order, one name for each address.
    """
    if len(data) > MAX_FILE_BYTES or not _has_table(data):
        return []
    import lief

    lief.logging.disable()
    config = lief.PE.ParserConfig()
    config.parse_signature = config.parse_imports = config.parse_exports = config.parse_rsrc = False
    config.parse_reloc = config.parse_exceptions = False
    try:
        binary = lief.PE.parse(data, config)
        if binary is None:
            return []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LIEF warns of numbers that its enumerations lack
            return _best_names(_functions(binary))
    except Exception:  # noqa: BLE001  what a C++ library throws on hostile bytes is anybody's guess
        return []


def _has_table(data: bytes) -> bool:
    """Whether the headers tell of a symbol table that lies in the file, and isn't beyond all bounds."""
    import pefile

    try:
        header = pefile.PE(data=data, fast_load=True).FILE_HEADER
        start, count = header.PointerToSymbolTable, header.NumberOfSymbols
    except Exception:  # noqa: BLE001  pefile promises PEFormatError only, hostile bytes find the rest
        return False
    return bool(start and 0 < count <= MAX_SYMBOLS and start + count * _SYMBOL_BYTES <= len(data))


def _functions(binary: lief.PE.Binary) -> Iterator[tuple[int, tuple[bool, bool, str]]]:
    """RVA and name of each symbol for code, the name after what makes it a worse one: no function, not external."""
    sections = list(binary.sections)
    characters = 0
    for symbol in binary.symbols:
        # assemblers give their labels no type
        storage = int(symbol.storage_class)
        if not 1 <= symbol.section_idx <= len(sections) or not (symbol.is_function or storage in (_EXTERNAL, _STATIC)):
            continue
        section = sections[symbol.section_idx - 1]
        if not section.has_characteristic(section.CHARACTERISTICS.MEM_EXECUTE):
            continue
        if not 0 <= symbol.value < (section.virtual_size or section.size):
            continue
        name = symbol.name
        characters += len(name)
        if characters > MAX_NAME_CHARACTERS:
            raise ValueError("the names are longer than any linker makes them")
        # the sections themselves have symbols, too; LIEF gives names that aren't UTF-8 as bytes
        if isinstance(name, str) and name.isprintable() and name and not name.startswith("."):
            yield section.virtual_address + symbol.value, (not symbol.is_function, storage != _EXTERNAL, name)


def _best_names(functions: Iterator[tuple[int, tuple[bool, bool, str]]]) -> list[tuple[int, str]]:
    """One name for each address: the first in the order of ``_functions``, so that it is always the same."""
    best: dict[int, tuple[bool, bool, str]] = {}
    for rva, name in functions:
        best[rva] = min(best.get(rva, name), name)
    return [(rva, best[rva][2]) for rva in sorted(best)]
