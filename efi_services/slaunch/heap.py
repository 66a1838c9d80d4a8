"""The TXT heap: tables one behind the other, each behind its size (Intel TXT MLE Developer's Guide, appendix C).

Firmware fills in the first, the boot loader the second and the third. The fourth is the ACM's, which isn't there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from efi_services.ports import Memory

_SIZE = struct.Struct("<Q")
#: Version, size of the ACM that the firmware brings, 2 reserved, logical processors, flags of ACM and MLE.
_BIOS = struct.Struct("<IIQQIII")
#: Version, address of boot_params (in older ones), SLR table, its INTEL_INFO, wake block and its size, scratch.
_OS_MLE = struct.Struct("<IIQQII64s")
#: Version, flags, page tables, size and header of the MLE, protected ranges low and high, policy, capabilities, RSDP.
_OS_SINIT = struct.Struct("<IIQQQQQQQQQIQ")
_ELEMENT = struct.Struct("<II")
_END = _ELEMENT.pack(0, _ELEMENT.size)
#: HEAP_EVENT_LOG_POINTER_ELEMENT2_1: address, size, first and next record.
_LOG_POINTER, _LOG = 8, struct.Struct("<QIII")
_BIOS_VERSION, _OS_MLE_VERSION, _OS_SINIT_VERSION = 6, 1, 7
#: Protected ranges are whole multiples of this.
PMR_UNIT = 2 << 20


class HeapError(ValueError):
    """A table is missing or makes no sense; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Heap:
    """What a boot loader tells in it. *protected* is the range of memory below 4 GiB that is kept from devices."""

    slrt: int
    intel_info: int
    page_tables: int
    mle_size: int
    mle_header: int
    protected: tuple[int, int]
    log: tuple[int, int]
    wake_block: tuple[int, int] = (0, 0)
    boot_params: int = 0
    rsdp: int = 0


def firmware_part(processors: int) -> bytes:
    """What is there at power-on."""
    return _sized(_BIOS.pack(_BIOS_VERSION, 0, 0, 0, processors, 0, 0) + _END)


def loader_part(heap: Heap) -> bytes:
    """What a boot loader writes behind it."""
    mle = _OS_MLE.pack(_OS_MLE_VERSION, heap.boot_params, heap.slrt, heap.intel_info, *heap.wake_block, b"")
    sinit = _OS_SINIT.pack(
        _OS_SINIT_VERSION,
        0,
        heap.page_tables,
        heap.mle_size,
        heap.mle_header,
        *heap.protected,
        0,
        0,
        0,
        0,
        0,
        heap.rsdp,
    )
    log = _ELEMENT.pack(_LOG_POINTER, _ELEMENT.size + _LOG.size) + _LOG.pack(*heap.log, 0, 0)
    return _sized(mle) + _sized(sinit + log + _END)


def read(memory: Memory, base: int, size: int) -> Heap:
    """What a heap tells; raises HeapError, or MemoryFault."""
    data = memory.read(base, size)
    tables, at = [], 0
    for name, least in (("BIOS data", _BIOS), ("OS to MLE data", _OS_MLE), ("OS to SINIT data", _OS_SINIT)):
        length = _SIZE.unpack_from(data, at)[0] if at + _SIZE.size <= len(data) else 0
        if not _SIZE.size + least.size <= length <= len(data) - at:
            raise HeapError(f"its {name} say that they have {length} bytes")
        tables.append(data[at + _SIZE.size : at + length])
        at += length
    bios, mle, sinit = tables
    versions = (_BIOS.unpack_from(bios)[0], _OS_MLE.unpack_from(mle)[0], _OS_SINIT.unpack_from(sinit)[0])
    if versions != (_BIOS_VERSION, _OS_MLE_VERSION, _OS_SINIT_VERSION):
        raise HeapError(f"its tables have versions {', '.join(map(str, versions))}")
    _, boot_params, slrt, info, wake, wake_size, _ = _OS_MLE.unpack_from(mle)
    _, _, pages, mle_size, header, low, low_size, *_, rsdp = _OS_SINIT.unpack_from(sinit)
    log = _LOG.unpack_from(sinit, _OS_SINIT.size + _ELEMENT.size)[:2] if len(sinit) >= _OS_SINIT.size + 28 else (0, 0)
    return Heap(slrt, info, pages, mle_size, header, (low, low_size), log, (wake, wake_size), boot_params, rsdp)


def page_tables_bytes(size: int) -> int:
    """What `page_tables` take for an MLE of *size* bytes."""
    return 4096 * (2 + -(-size // (512 * 4096)))


def page_tables(base: int, size: int, at: int) -> bytes:
    """Page tables for an ACM, to lie *at*: an MLE of up to a gigabyte from linear address 0 on, in pages of 4 KiB."""
    pages, last = -(-size // 4096), page_tables_bytes(size) // 4096 - 2

    def table(entries: Iterable[int]) -> bytes:
        return b"".join((each | 1).to_bytes(8, "little") for each in entries).ljust(4096, b"\0")

    made = table([at + 4096]) + table(at + 4096 * (2 + each) for each in range(last))
    for each in range(last):
        made += table(base + 4096 * page for page in range(512 * each, min(512 * (each + 1), pages)))
    return made


def _sized(table: bytes) -> bytes:
    return _SIZE.pack(_SIZE.size + len(table)) + table
