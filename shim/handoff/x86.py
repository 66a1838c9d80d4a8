"""What an x86 kernel finds: boot_params (Documentation/arch/x86/zero-page.rst and boot.rst), and descriptor tables."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from efi_services.ports import MemoryFault
from shim.handoff import setup_data
from shim.pages import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from shim.machine.ram import Ram

SIZE = 4096
_MAX_COMMAND_LINE = 4096

E820_TYPES = {
    1: "usable", 2: "reserved", 3: "ACPI data", 4: "ACPI NVS", 5: "unusable", 7: "persistent", 12: "soft reserved",
    0xEFFF_FFFF: "soft reserved",
}  # fmt: skip

#: Field: offset, struct format. Numbers that are addresses in two halves are put together below.
_FIELDS = {
    "screen_orig_video_isVGA": (0x00F, "<B"),
    "screen_lfb_width": (0x012, "<H"),
    "screen_lfb_height": (0x014, "<H"),
    "screen_lfb_depth": (0x016, "<H"),
    "screen_lfb_base": (0x018, "<I"),
    "screen_lfb_size": (0x01C, "<I"),
    "screen_lfb_linelength": (0x024, "<H"),
    "screen_ext_lfb_base": (0x03A, "<I"),
    "acpi_rsdp_addr": (0x070, "<Q"),
    "ext_ramdisk_image": (0x0C0, "<I"),
    "ext_ramdisk_size": (0x0C4, "<I"),
    "ext_cmd_line_ptr": (0x0C8, "<I"),
    "alt_mem_k": (0x1E0, "<I"),
    "e820_entries": (0x1E8, "<B"),
    "secure_boot": (0x1EC, "<B"),
    "root_flags": (0x1F2, "<H"),
    "vid_mode": (0x1FA, "<H"),
    "type_of_loader": (0x210, "<B"),
    "loadflags": (0x211, "<B"),
    "code32_start": (0x214, "<I"),
    "ramdisk_image": (0x218, "<I"),
    "ramdisk_size": (0x21C, "<I"),
    "cmd_line_ptr": (0x228, "<I"),
    "initrd_addr_max": (0x22C, "<I"),
    "xloadflags": (0x236, "<H"),
    "setup_data": (0x250, "<Q"),
}
#: What the fields mean; struct boot_params, and of it struct setup_header.
MEANINGS = {
    "acpi_rsdp_addr": "where ACPI's RSDP lies; 0: the kernel asks the EFI configuration tables",
    "ext_ramdisk_image": "bits 32 to 63 of the initrd's address",
    "ext_ramdisk_size": "bits 32 to 63 of the initrd's size",
    "ext_cmd_line_ptr": "bits 32 to 63 of the command line's address",
    "alt_mem_k": "KiB of memory above 1 MiB, as the BIOS would have told",
    "e820_entries": "entries of the e820 map",
    "secure_boot": "Secure Boot: 0 unset, 1 unknown, 2 off, 3 on",
    "root_flags": "1: the root file system is mounted read-only at first",
    "vid_mode": "video mode; 0xffff: normal",
    "type_of_loader": "who loaded it; 0x21: an EFI stub",
    "loadflags": "bit 0: loaded high; bit 1: KASLR is on",
    "code32_start": "where to jump in 32-bit mode; an EFI stub leaves it 0",
    "ramdisk_image": "bits 0 to 31 of the initrd's address",
    "ramdisk_size": "bits 0 to 31 of the initrd's size",
    "cmd_line_ptr": "bits 0 to 31 of the command line's address",
    "initrd_addr_max": "the highest address that the initrd may have",
    "xloadflags": "what the kernel can do, as its file says",
    "setup_data": "where the list of setup_data begins; 0: there is none",
    "screen_orig_video_isVGA": "the kind of screen; 0: none that the stub knows, 0x70: EFI framebuffer",
    "screen_lfb_width": "pixels in a line",
    "screen_lfb_height": "lines",
    "screen_lfb_depth": "bits of a pixel",
    "screen_lfb_base": "where the framebuffer lies, bits 0 to 31",
    "screen_ext_lfb_base": "bits 32 to 63 of that",
    "screen_lfb_size": "its bytes",
    "screen_lfb_linelength": "bytes from one line to the next",
}
_EFI_INFO = {
    "systab": (0x1C4, "<I"),
    "memdesc_size": (0x1C8, "<I"),
    "memdesc_version": (0x1CC, "<I"),
    "memmap": (0x1D0, "<I"),
    "memmap_size": (0x1D4, "<I"),
    "systab_hi": (0x1D8, "<I"),
    "memmap_hi": (0x1DC, "<I"),
}
_E820, _E820_AT, _MAX_E820 = struct.Struct("<QQI"), 0x2D0, 128


def collect(ram: Ram, registers: Mapping[str, int]) -> dict[str, Any]:
    """The descriptor tables, and boot_params where there are any."""
    return {
        "gdt": _hex_at(ram, registers["gdt_base"], registers["gdt_limit"] + 1),
        "idt": {"base": registers["idt_base"], "limit": registers["idt_limit"]},
        "boot_params": _boot_params(ram, registers.get("rsi", registers.get("esi", 0))),
    }


def places(state: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Addresses of what boot_params tell of, with their names."""
    boot_params = state.get("boot_params")
    if boot_params is not None:
        found = {
            "boot_params": boot_params["address"],
            "command line": boot_params["command_line_address"],
            "memory map": boot_params["efi_info"]["memory_map"],
            "initrd": boot_params["initrd_address"],
        }
        yield from ((address, name) for name, address in found.items() if address)


def parts(state: Mapping[str, Any], files: Path) -> Iterator[tuple[str, int, int]]:  # noqa: ARG001
    """Names, addresses and sizes of what boot_params have, of what they lead to, and of the descriptor table."""
    registers, boot_params = state["registers"], state.get("boot_params")
    if boot_params is not None:
        base = boot_params["address"]
        fields = _FIELDS | {f"efi_info.{name}": field for name, field in _EFI_INFO.items()}
        for name, (at, form) in fields.items():
            yield f"boot_params.{name}", base + at, struct.calcsize(form)
        for index in range(len(boot_params["e820"])):
            yield f"boot_params.e820[{index}]", base + _E820_AT + _E820.size * index, _E820.size
        for index, link in enumerate(boot_params["setup_data"]):
            yield f"setup_data[{index}]", link["address"], setup_data.HEADER.size + link["size"]
        command_line = (boot_params["command_line"] or "").encode()
        yield "command line", boot_params["command_line_address"], len(command_line) + 1
        efi = boot_params["efi_info"]
        yield "memory map", efi["memory_map"], efi["memory_map_size"]
        yield "initrd", boot_params["initrd_address"], boot_params["initrd_size"]
    yield "GDT", registers["gdt_base"], registers["gdt_limit"] + 1


def files(state: Mapping[str, Any], ram: Ram) -> Iterator[tuple[str, bytes]]:
    """boot_params as they are."""
    boot_params = state.get("boot_params")
    if boot_params is not None:
        yield "boot_params.bin", bytes(ram.view(boot_params["address"], SIZE))


def decode(page: bytes) -> dict[str, Any]:
    """The fields that an EFI stub fills in, addresses whole, with the e820 map and the EFI information."""
    values = {name: struct.unpack_from(form, page, at)[0] for name, (at, form) in _FIELDS.items()}
    efi = {name: struct.unpack_from(form, page, at)[0] for name, (at, form) in _EFI_INFO.items()}
    return {
        "command_line_address": values["ext_cmd_line_ptr"] << 32 | values["cmd_line_ptr"],
        "initrd_address": values["ext_ramdisk_image"] << 32 | values["ramdisk_image"],
        "initrd_size": values["ext_ramdisk_size"] << 32 | values["ramdisk_size"],
        "efi_info": {
            "loader_signature": page[0x1C0:0x1C4].decode("latin-1").rstrip("\0"),
            "system_table": efi["systab_hi"] << 32 | efi["systab"],
            "memory_map": efi["memmap_hi"] << 32 | efi["memmap"],
            "memory_map_size": efi["memmap_size"],
            "descriptor_size": efi["memdesc_size"],
            "descriptor_version": efi["memdesc_version"],
        },
        "e820": [
            {"start": start, "size": size, "type": E820_TYPES.get(kind, str(kind))}
            for start, size, kind in (
                _E820.unpack_from(page, _E820_AT + _E820.size * index)
                for index in range(min(values["e820_entries"], _MAX_E820))
            )
        ],
        "fields": values,
    }


def _boot_params(ram: Ram, address: int) -> dict[str, Any] | None:
    """boot_params at *address*, where there can be any: RSI is theirs by the boot protocol."""
    try:
        decoded = decode(bytes(ram.view(address, SIZE)))
    except MemoryFault:
        return None
    if decoded["efi_info"]["loader_signature"] not in ("EL64", "EL32"):
        return None
    decoded["address"] = address
    decoded["command_line"] = _text_at(ram, decoded["command_line_address"])
    decoded["setup_data"] = [
        {"address": each.address, "type": setup_data.TYPES.get(each.type, str(each.type)), "size": each.size}
        for each in setup_data.links(decoded["fields"]["setup_data"], ram.view)
    ]
    return decoded


def _text_at(ram: Ram, address: int) -> str | None:
    # It may lie in the last page of memory.
    for size in (_MAX_COMMAND_LINE, PAGE - address % PAGE):
        try:
            return bytes(ram.view(address, size)).split(b"\0")[0].decode("utf-8", "replace")
        except MemoryFault:
            continue
    return None


def _hex_at(ram: Ram, address: int, size: int) -> str | None:
    try:
        return bytes(ram.view(address, size)).hex()
    except MemoryFault:
        return None
