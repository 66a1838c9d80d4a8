"""What boot_params tell a boot loader of the rest (Documentation/arch/x86/zero-page.rst and boot.rst)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.memory_map import PAGE

if TYPE_CHECKING:
    from efi_services.ports import Memory

SIZE = 4096
#: Where the lower and the upper half of each number lie.
_COMMAND_LINE, _COMMAND_LINE_SIZE = (0x228, 0xC8), 0x238
_INITRD, _INITRD_SIZE = (0x218, 0xC0), (0x21C, 0xC4)
_MEMORY_MAP, _MEMORY_MAP_SIZE = (0x1D0, 0x1DC), 0x1D4
_SETUP_DATA = 0x250
#: The longest command line whose size nobody tells.
_MOST = 4096


@dataclass(frozen=True, slots=True)
class BootParams:
    """Address and size of what boot_params lead to; 0 and 0 for what isn't there."""

    setup_data: int
    command_line: tuple[int, int]
    memory_map: tuple[int, int]
    initrd: tuple[int, int]


def read(memory: Memory, address: int) -> BootParams:
    """boot_params at *address*; raises MemoryFault."""
    page = memory.read(address, SIZE)

    def number(at: int) -> int:
        return int(struct.unpack_from("<I", page, at)[0])

    def whole(halves: tuple[int, int]) -> int:
        return number(halves[0]) | number(halves[1]) << 32

    command_line = whole(_COMMAND_LINE)
    size = number(_COMMAND_LINE_SIZE) or (_text_bytes(memory, command_line) if command_line else 0)
    initrd_size = whole(_INITRD_SIZE)
    return BootParams(
        setup_data=struct.unpack_from("<Q", page, _SETUP_DATA)[0],
        command_line=(command_line, size) if command_line else (0, 0),
        memory_map=(whole(_MEMORY_MAP), number(_MEMORY_MAP_SIZE)),
        initrd=(whole(_INITRD), initrd_size) if initrd_size else (0, 0),
    )


def _text_bytes(memory: Memory, address: int) -> int:
    """The bytes of a text with its zero; it may end in the last page of memory."""
    here = PAGE - address % PAGE
    end = memory.read(address, here).find(0)
    if end < 0 and here < _MOST:
        end = memory.read(address, _MOST).find(0)
    return end + 1 or _MOST
