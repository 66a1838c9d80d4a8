"""Laying out a Secure Launch Resource Table, as GRUB does, and filling in what only the stub knows."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from efi_services.slaunch import slrt
from efi_services.slaunch.slrt import Entity, Tag

if TYPE_CHECKING:
    from efi_services.slaunch.boot_params import BootParams
    from efi_services.slaunch.dlme import Dlme
    from efi_services.slaunch.slrt import Layout, Measured

#: The room that loaders give it.
ROOM = 4096
_TABLE = struct.Struct("<IHHII")
#: Bootloader (GRUB is the only one with a number) and its context.
_CONTEXT = struct.Struct("<H6xQ")
_GRUB = 1
_LOG = struct.Struct("<HHIQ")
_LOG_OF_TPM_2 = 2
_ROWS = struct.Struct("<4xHH")
_ROW = struct.Struct("<HHHHQQ32s")
_MEASURED, _IMPLICIT_SIZE = 1, 2
#: MSR_IA32_MISC_ENABLE as QEMU has it, and MTRRs: write-back by default, and none variable.
_MISC_ENABLE = 1
_MTRRS = struct.pack("<QQ", 0xC06, 0).ljust(8 + 8 + 32 * 16, b"\0")
#: next, type, length, size and address of the table, boot_params, version of the PSP.
_AMD = struct.Struct("<QIIQQQH6x")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a table says. *handler* is the function that launches, *policy* what the kernel is to measure.

    Addresses that nobody knows yet are 0.
    """

    architecture: int
    address: int
    log: tuple[int, int]
    policy: tuple[Measured, ...]
    handler: int = 0
    heap: int = 0
    boot_params: int = 0
    dlme: Dlme | None = None


def filled_in(policy: tuple[Measured, ...], table: int, address: int, found: BootParams) -> tuple[Measured, ...]:
    """The policy for boot_params at *address*; what isn't there becomes an entry that is not used."""
    places = {
        Entity.SLRT: (table, 0),
        Entity.BOOT_PARAMS: (address, ROOM),
        Entity.SETUP_DATA: (found.setup_data, 0),
        Entity.CMDLINE: found.command_line,
        Entity.UEFI_MEMMAP: found.memory_map,
        Entity.RAMDISK: found.initrd,
    }
    rows = []
    for each in policy:
        if each.entity not in places:
            rows.append(each)
            continue
        at, size = places[Entity(each.entity)]
        rows.append(replace(each, address=at, size=size, entity=each.entity if at else Entity.UNUSED))
    return tuple(rows)


def encode(contents: Contents, layout: Layout) -> bytes:
    """The table; *layout* has to be one with tags of 32 bits."""
    assert layout.wide
    entries = [
        _entry(Tag.DL_INFO, dl_info(contents, layout)),
        _entry(Tag.LOG_INFO, _LOG.pack(_LOG_OF_TPM_2, 0, contents.log[1], contents.log[0])),
        _entry(Tag.ENTRY_POLICY, policy(contents.policy)),
    ]
    if contents.architecture == slrt.SKINIT:
        body = _AMD.pack(0, 0, _AMD.size + 8, ROOM, contents.address, contents.boot_params, 0)
        entries.append(_entry(Tag.AMD_INFO, body))
    else:
        addresses = (contents.boot_params, contents.heap)[-layout.addresses :]
        body = struct.pack(f"<{len(addresses)}QQ", *addresses, _MISC_ENABLE) + _MTRRS
        entries.append(_entry(Tag.INTEL_INFO, body))
    entries.append(_entry(Tag.END, b""))
    size = _TABLE.size + sum(map(len, entries))
    return _TABLE.pack(slrt.MAGIC, slrt.REVISION, contents.architecture, size, ROOM) + b"".join(entries)


def places(contents: Contents, layout: Layout) -> dict[Tag, int]:
    """Where each entry begins, from the table's own beginning on."""
    data, found = encode(contents, layout), {}
    at = _TABLE.size
    while at < len(data):
        tag, size = layout.head.unpack_from(data, at)
        found[Tag(tag)] = at
        at += size
    return found


def dl_info(contents: Contents, layout: Layout) -> bytes:
    """What is launched and how, without the entry's head. What launches it (the DCE) is none that lies in memory."""
    dlme = contents.dlme
    about = (dlme.size, dlme.base, dlme.entry - dlme.base) if dlme is not None else (0, 0, 0)
    more = ((dlme.header_offset, dlme.table) if dlme is not None else (0, 0)) if layout.described else ()
    return (
        struct.pack(f"<{5 + len(more)}Q", 0, 0, *about, *more)
        + _CONTEXT.pack(_GRUB, 0)
        + contents.handler.to_bytes(8, "little")
    )


def context_at(layout: Layout) -> int:
    """Where the loader's context lies in DL_INFO, which is what a stub hands to the function that launches."""
    return layout.head.size + (7 if layout.described else 5) * 8


def policy(rows: tuple[Measured, ...]) -> bytes:
    """ENTRY_POLICY without its head."""
    made = b""
    for each in rows:
        flags = _MEASURED | (_IMPLICIT_SIZE if each.entity in (Entity.SLRT, Entity.SETUP_DATA) else 0)
        made += _ROW.pack(each.pcr, each.entity, flags, 0, each.size, each.address, each.text.encode("ascii"))
    return _ROWS.pack(slrt.REVISION, len(rows)) + made


def _entry(tag: Tag, body: bytes) -> bytes:
    return struct.pack("<II", tag, 8 + len(body)) + body
