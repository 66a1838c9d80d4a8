"""boot_params, put together by hand at the offsets of Documentation/arch/x86/zero-page.rst and boot.rst."""

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.handoff import x86


def page(**fields):
    """A zero page with bytes at offsets: at_1e8=b"..." and so on."""
    made = bytearray(4096)
    for name, data in fields.items():
        at = int(name.removeprefix("at_"), 16)
        made[at : at + len(data)] = data
    return bytes(made)


def u32(value):
    return struct.pack("<I", value)


def e820(*entries):
    return b"".join(struct.pack("<QQI", *entry) for entry in entries)


def test_an_empty_page():
    decoded = x86.decode(bytes(4096))
    assert decoded["e820"] == []
    assert decoded["efi_info"] == {
        "loader_signature": "",
        "system_table": 0,
        "memory_map": 0,
        "memory_map_size": 0,
        "descriptor_size": 0,
        "descriptor_version": 0,
    }
    assert decoded["command_line_address"] == decoded["initrd_address"] == decoded["initrd_size"] == 0
    assert set(decoded["fields"].values()) == {0}


def test_addresses_in_two_halves_are_whole():
    decoded = x86.decode(
        page(
            at_228=u32(0x1111_2222), at_0c8=u32(0x5),  # cmd_line_ptr, ext_cmd_line_ptr
            at_218=u32(0x3333_4444), at_0c0=u32(0x6),  # ramdisk_image, ext_ramdisk_image
            at_21c=u32(0x5555_6666), at_0c4=u32(0x7),  # ramdisk_size, ext_ramdisk_size
        )
    )  # fmt: skip
    assert decoded["command_line_address"] == 0x5_1111_2222
    assert decoded["initrd_address"] == 0x6_3333_4444
    assert decoded["initrd_size"] == 0x7_5555_6666


def test_the_efi_information():
    info = b"EL64" + struct.pack("<7I", 0x1000, 48, 1, 0x2000, 960, 0xA, 0xB)
    assert x86.decode(page(at_1c0=info))["efi_info"] == {
        "loader_signature": "EL64",
        "system_table": 0xA_0000_1000,
        "descriptor_size": 48,
        "descriptor_version": 1,
        "memory_map": 0xB_0000_2000,
        "memory_map_size": 960,
    }


FIELDS = {
    "acpi_rsdp_addr": (0x070, 8), "ext_ramdisk_image": (0x0C0, 4), "ext_ramdisk_size": (0x0C4, 4),
    "ext_cmd_line_ptr": (0x0C8, 4), "alt_mem_k": (0x1E0, 4), "e820_entries": (0x1E8, 1), "secure_boot": (0x1EC, 1),
    "root_flags": (0x1F2, 2), "vid_mode": (0x1FA, 2), "type_of_loader": (0x210, 1), "loadflags": (0x211, 1),
    "code32_start": (0x214, 4), "ramdisk_image": (0x218, 4), "ramdisk_size": (0x21C, 4), "cmd_line_ptr": (0x228, 4),
    "initrd_addr_max": (0x22C, 4), "xloadflags": (0x236, 2), "setup_data": (0x250, 8),
    "screen_orig_video_isVGA": (0x00F, 1), "screen_lfb_width": (0x012, 2), "screen_lfb_height": (0x014, 2),
    "screen_lfb_depth": (0x016, 2), "screen_lfb_base": (0x018, 4), "screen_lfb_size": (0x01C, 4),
    "screen_lfb_linelength": (0x024, 2), "screen_ext_lfb_base": (0x03A, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_fields_are_where_the_boot_protocol_has_them(name):
    at, size = FIELDS[name]
    value = (1 << (8 * size)) - 2
    made = bytearray(4096)
    made[at : at + size] = value.to_bytes(size, "little")
    fields = x86.decode(bytes(made))["fields"]
    assert {each: found for each, found in fields.items() if found} == {name: value}


def test_all_fields_are_looked_at_and_explained():
    assert set(x86.decode(bytes(4096))["fields"]) == set(FIELDS) == set(x86.MEANINGS)


def test_the_e820_map():
    entries = e820((0, 0x9F000, 1), (0x9F000, 0x1000, 2), (1 << 40, 1 << 63, 7), (5, 6, 0xEFFF_FFFF), (7, 8, 99))
    assert x86.decode(page(at_1e8=b"\5", at_2d0=entries))["e820"] == [
        {"start": 0, "size": 0x9F000, "type": "usable"},
        {"start": 0x9F000, "size": 0x1000, "type": "reserved"},
        {"start": 1 << 40, "size": 1 << 63, "type": "persistent"},
        {"start": 5, "size": 6, "type": "soft reserved"},
        {"start": 7, "size": 8, "type": "99"},
    ]


@pytest.mark.parametrize(("told", "read"), [(127, 127), (128, 128), (129, 128), (255, 128)])
def test_more_entries_than_there_is_room_for_are_not_read(told, read):
    entries = e820(*((i, 1, 1) for i in range(128)))
    decoded = x86.decode(page(at_1e8=bytes([told]), at_2d0=entries, at_cd0=b"\xff" * 16))
    assert [each["start"] for each in decoded["e820"]] == list(range(read))
    assert decoded["fields"]["e820_entries"] == told


@given(st.binary(max_size=64), st.integers(0, 4096 - 64))
@settings(deadline=None, max_examples=100, database=None)
def test_whatever_the_guest_writes_can_be_kept(data, at):
    made = bytearray(b"\xff" * 4096)
    made[at : at + len(data)] = data
    decoded = x86.decode(bytes(made))
    assert json.loads(json.dumps(decoded)) == decoded
