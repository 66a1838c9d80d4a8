import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.abi import X86_64
from efi_services.boot.protocols import OpenInformation
from efi_services.configuration import ConfigurationEntry
from efi_services.memory_map import MemoryDescriptor
from efi_services.protocols.loaded_image import LoadedImage
from efi_services.protocols.simple_text_output import Mode
from efi_services.runtime.time import Time, TimeCapabilities
from efi_services.structs import Struct, struct
from efi_services.system_table import SystemTable, TableHeader
from efi_services.types import UINT8, UINT16, UINT32, UINT64, UINTN, Boolean, Guid, Handle


@struct
class Everything(Struct):
    """One field of each kind, in an order that needs padding."""

    small: UINT8
    guid: Guid
    flag: Boolean
    natural: UINTN
    half: UINT16
    wide: UINT64
    inner: TimeCapabilities
    handle: Handle
    last: UINT8


# name, size, then field offsets, as a C compiler lays them out for 64-bit and for 32-bit processors.
LAYOUTS = [
    (TableHeader, 24, 24, {"signature": (0, 0), "revision": (8, 8), "header_size": (12, 12), "crc32": (16, 16)}),
    (SystemTable, 120, 72, {
        "firmware_vendor": (24, 24), "firmware_revision": (32, 28), "console_in_handle": (40, 32), "con_in": (48, 36),
        "std_err": (80, 52), "runtime_services": (88, 56), "boot_services": (96, 60),
        "number_of_table_entries": (104, 64), "configuration_table": (112, 68),
    }),
    (LoadedImage, 96, 64, {
        "parent_handle": (8, 4), "system_table": (16, 8), "device_handle": (24, 12), "file_path": (32, 16),
        "load_options_size": (48, 24), "load_options": (56, 28), "image_base": (64, 32), "image_size": (72, 40),
        "image_code_type": (80, 48), "image_data_type": (84, 52), "unload": (88, 56),
    }),
    (MemoryDescriptor, 40, 40, {
        "type": (0, 0), "physical_start": (8, 8), "virtual_start": (16, 16), "number_of_pages": (24, 24),
        "attribute": (32, 32),
    }),
    (ConfigurationEntry, 24, 20, {"vendor": (0, 0), "table": (16, 16)}),
    (OpenInformation, 24, 16, {"controller": (8, 4), "attributes": (16, 8), "open_count": (20, 12)}),
    (Mode, 24, 24, {"mode": (4, 4), "cursor_row": (16, 16), "cursor_visible": (20, 20)}),
    (Time, 16, 16, {"year": (0, 0), "month": (2, 2), "second": (6, 6), "nanosecond": (8, 8), "daylight": (14, 14)}),
    (TimeCapabilities, 12, 12, {"accuracy": (4, 4), "sets_to_zero": (8, 8)}),
    (Everything, 80, 64, {
        "guid": (4, 4), "flag": (20, 20), "natural": (24, 24), "half": (32, 28), "wide": (40, 32), "inner": (48, 40),
        "handle": (64, 52), "last": (72, 56),
    }),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "wide", "narrow", "offsets"), LAYOUTS, ids=lambda each: getattr(each, "__name__", ""))
def test_layouts(i386, cls, wide, narrow, offsets):
    assert (cls.sizeof(X86_64), cls.sizeof(i386)) == (wide, narrow)
    assert {name: (cls.offsetof(X86_64, name), cls.offsetof(i386, name)) for name in offsets} == offsets


def test_padding_is_zero():
    packed = MemoryDescriptor(0xFFFFFFFF, *[0xFFFF_FFFF_FFFF_FFFF] * 4).pack(X86_64)
    assert packed == b"\xff" * 4 + bytes(4) + b"\xff" * 32


def test_a_structure_shows_its_fields():
    shown = Everything.codec.show(
        Everything(1, Guid(int=0), 2, 3, 4, 5, TimeCapabilities(6, 7, 0), 0x10, 8)
    )  # fmt: skip
    assert shown == {
        "small": 1, "guid": "00000000-0000-0000-0000-000000000000", "flag": True, "natural": 3, "half": 4, "wide": 5,
        "inner": {"resolution": 6, "accuracy": 7, "sets_to_zero": False}, "handle": "0x10", "last": 8,
    }  # fmt: skip


def numbers(bits):
    return st.integers(0, (1 << bits) - 1)


@given(
    st.builds(
        Everything, numbers(8), st.uuids(), numbers(8), numbers(32), numbers(16), numbers(64),
        st.builds(TimeCapabilities, numbers(32), numbers(32), numbers(8)), numbers(32), numbers(8),
    ),
    st.binary(max_size=8),
)  # fmt: skip
def test_what_is_packed_is_unpacked(i386, value, tail):
    for abi in (X86_64, i386):
        packed = value.pack(abi)
        assert len(packed) == Everything.sizeof(abi)
        assert Everything.unpack(abi, packed + tail) == value


@given(st.binary(min_size=80, max_size=80))
def test_any_bytes_are_some_structure(data):
    value = Everything.unpack(X86_64, data)
    assert Everything.unpack(X86_64, value.pack(X86_64)) == value


@given(numbers(80))
def test_a_number_too_wide_for_its_field_is_cut(value):
    assert UINT32_FIELD.unpack(X86_64, UINT32_FIELD(value, 0).pack(X86_64)).low == value & 0xFFFF_FFFF


@struct
class UINT32_FIELD(Struct):  # noqa: N801 - it is nothing but its field
    """A number and a neighbour that must stay as it is."""

    low: UINT32
    neighbour: UINT32
