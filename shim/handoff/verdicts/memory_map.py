"""Rules about the EFI memory map as the kernel will find it, and the e820 map that is made of it."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from efi_services.memory_map import PAGE, MemoryType
from shim.handoff import setup_data, x86
from shim.handoff.verdicts.extents import memory_map_of
from shim.handoff.verdicts.rule import X86, BrokenError, NotApplicableError, rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shim.handoff.verdicts.rule import Handed

#: EFI_MEMORY_DESCRIPTOR (section 7.2.3): type, padding, physical and virtual start, pages, attribute.
_DESCRIPTOR = struct.Struct("<IIQQQQ")
_E820_ENTRY = struct.Struct("<QQI")
_VERSION = 1
#: Many times what any firmware has.
_MOST_DESCRIPTORS = 1 << 16
_SPECIFIC_PURPOSE = 0x40000
_RAM_TYPES = frozenset(range(1, 8)) | {MemoryType.ACPIReclaimMemory, MemoryType.ACPIMemoryNVS}
#: drivers/firmware/efi/libstub/x86-stub.c, setup_e820.
_E820 = {
    **dict.fromkeys((0, 5, 6, 11, 12, 13), "reserved"),
    **dict.fromkeys((1, 2, 3, 4, 7, 15), "usable"),
    8: "unusable", 9: "ACPI data", 10: "ACPI NVS", 14: "persistent",
}  # fmt: skip


@rule("memory-map-form", "UEFI 2.10, section 7.2.3")
def form(handed: Handed) -> str:
    """The descriptors' size and version can be, and there is a whole number of them."""
    told = _told(handed)
    size = told["descriptor_size"]
    if size < _DESCRIPTOR.size or size % 8:
        raise BrokenError(f"descriptors of {size} bytes")
    if told["version"] != _VERSION:
        raise BrokenError(f"descriptors of version {told['version']}")
    if not told["size"] or told["size"] % size:
        raise BrokenError(f"{told['size']} bytes are no whole number of descriptors of {size} bytes")
    if told["size"] // size > _MOST_DESCRIPTORS:
        raise BrokenError(f"{told['size'] // size:,} descriptors")
    return f"{told['size'] // size} descriptors of {size} bytes, version {told['version']}"


@rule("memory-map-order", "UEFI 2.10, section 7.2.3")
def order(handed: Handed) -> str:
    """It is of whole pages, ascends, and no two parts of it overlap."""
    found = _descriptors(handed)
    for each in found:
        if each["start"] % PAGE or not each["pages"] or each["start"] + each["pages"] * PAGE > 1 << 64:
            raise BrokenError(f"{each['pages']:#x} pages at {each['start']:#x}")
    for before, after in pairwise(found):
        if after["start"] < before["start"] + before["pages"] * PAGE:
            raise BrokenError(f"the part at {after['start']:#x} does not follow the one at {before['start']:#x}")
    return f"{len(found)} parts, ascending, clear of each other"


@rule("memory-map-current", "UEFI 2.10, section 7.4.6")
def current(handed: Handed) -> str:
    """It is the firmware's map as that was when boot services ended."""
    found, last = _descriptors(handed), handed.state["memory_map"]
    if found != last:
        number = next((n for n, (one, other) in enumerate(zip(found, last, strict=False)) if one != other), len(found))
        raise BrokenError(f"descriptor {number} is another than the firmware's, or one of the two maps ends there")
    return "it is the firmware's last"


@rule("memory-map-ram", "UEFI 2.10, section 7.2.3")
def in_ram(handed: Handed) -> str:
    """What it says is memory is RAM of the machine."""
    for each in _descriptors(handed):
        start, end = each["start"], each["start"] + each["pages"] * PAGE
        inside = any(first <= start and end <= last for first, last in handed.memory.ranges)
        if each["type"] in _RAM_TYPES and not inside:
            raise BrokenError(f"{start:#x}..{end:#x} is told to be {MemoryType(each['type']).name}, and is not all RAM")
    return "all that it says is memory is RAM"


@rule("e820", "x86/zero-page.rst, x86-stub.c (setup_e820)", X86)
def e820(handed: Handed) -> str:
    """The e820 map says of every byte what the EFI memory map says of it."""
    boot_params = handed.boot_params
    found = [(each["start"], each["start"] + each["size"], each["type"]) for each in boot_params["e820"]]
    if boot_params["fields"]["e820_entries"] > len(found):
        raise BrokenError(f"it tells of {boot_params['fields']['e820_entries']} entries, and has room for {len(found)}")
    found += _extended(handed, boot_params["fields"]["setup_data"])
    for (_, before, _), (after, _, _) in pairwise(found):
        if after < before:
            raise BrokenError(f"the entry at {after:#x} overlaps the one before it, or is below it")
    soft = "nosoftreserve" not in (boot_params["command_line"] or "")
    told, wanted = _joined(found), _joined(sorted(_as_e820(_descriptors(handed), soft_reserve=soft)))
    if told != wanted:
        start, end, kind = min(set(told) ^ set(wanted))
        raise BrokenError(f"the two maps don't agree about {start:#x}..{end:#x}, {kind} in one of them")
    return f"{len(found)} entries say what the EFI memory map says"


def _extended(handed: Handed, address: int) -> list[tuple[int, int, str]]:
    """What boot_params have no room for."""
    found = []
    for link in setup_data.links(address, handed.memory.view):
        if link.type == setup_data.E820_EXT:
            data = handed.memory.view(link.content, link.size // _E820_ENTRY.size * _E820_ENTRY.size)
            for start, size, kind in _E820_ENTRY.iter_unpack(data):
                found.append((start, start + size, x86.E820_TYPES.get(kind, str(kind))))
    return found


def _as_e820(descriptors: list[dict[str, int]], *, soft_reserve: bool) -> Iterable[tuple[int, int, str]]:
    for each in descriptors:
        kind = _E820.get(each["type"])
        if kind == "usable" and each["attribute"] & _SPECIFIC_PURPOSE and soft_reserve:
            kind = "soft reserved"
        if kind is not None:
            yield each["start"], each["start"] + each["pages"] * PAGE, kind


def _joined(spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    joined: list[tuple[int, int, str]] = []
    for start, end, kind in spans:
        if joined and joined[-1][1:] == (start, kind):
            joined[-1] = (joined[-1][0], end, kind)
        else:
            joined.append((start, end, kind))
    return joined


def _told(handed: Handed) -> dict[str, Any]:
    found = memory_map_of(handed)
    if found is not None:
        return found
    if handed.architecture in X86:
        raise NotApplicableError("there are no boot_params to tell of it")
    raise NotApplicableError("the device tree does not tell of it")


def _descriptors(handed: Handed) -> list[dict[str, int]]:
    """Each descriptor, without its virtual address, which is the kernel's business."""
    told = _told(handed)
    try:
        form.judge(handed)
    except BrokenError as why:
        raise NotApplicableError(f"it can't be read: {why}") from None
    data = handed.memory.view(told["start"], told["size"])
    found = []
    for at in range(0, told["size"], told["descriptor_size"]):
        kind, _, start, _, pages, attribute = _DESCRIPTOR.unpack_from(data, at)
        found.append({"start": start, "pages": pages, "type": kind, "attribute": attribute})
    return found
