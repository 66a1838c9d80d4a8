"""The list of setup_data that boot_params lead to (Documentation/arch/x86/boot.rst, field setup_data)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.ports import MemoryFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TYPES = {
    1: "E820_EXT", 2: "DTB", 3: "PCI", 4: "EFI", 5: "APPLE_PROPERTIES", 6: "JAILHOUSE", 7: "CC_BLOB", 8: "IMA",
    9: "RNG_SEED", 10: "KEXEC_KHO", 1 << 31: "INDIRECT",
}  # fmt: skip
E820_EXT, INDIRECT = 1, 1 << 31
#: next, type, length; of an indirect one its content: type, reserved, length, address.
HEADER = struct.Struct("<QII")
_INDIRECT = struct.Struct("<IIQQ")
#: More links than a stub makes; a hostile list may be a ring.
_MOST_LINKS = 64


@dataclass(frozen=True, slots=True)
class Link:
    """One of the list: where its header lies, the size of its content, and where the next is.

    *target* is the address and the size that an indirect one has.
    """

    address: int
    type: int
    size: int
    following: int
    target: tuple[int, int] | None = None

    @property
    def content(self) -> int:
        """The address of what follows the header."""
        return self.address + HEADER.size


def links(address: int, view: Callable[[int, int], memoryview]) -> Iterator[Link]:
    """The list from *address* on; it ends where it leaves memory or meets itself."""
    seen: set[int] = set()
    while address and address not in seen and len(seen) < _MOST_LINKS:
        seen.add(address)
        target = None
        try:
            following, kind, size = HEADER.unpack(view(address, HEADER.size))
            if kind == INDIRECT and size >= _INDIRECT.size:
                _, _, length, target_address = _INDIRECT.unpack(view(address + HEADER.size, _INDIRECT.size))
                target = target_address, length
        except MemoryFault:
            return
        yield Link(address, kind, size, following, target)
        address = following
