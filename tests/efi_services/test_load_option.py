"""EFI_LOAD_OPTION."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virt.firmware.efi.bootentry import BootEntry

from efi_services.device_path import END, file_path
from efi_services.load_option import LoadOption

PATH = file_path("\\EFI\\BOOT\\BOOTX64.EFI") + END


def test_others_read_it():
    option = LoadOption("Debian", PATH, b"data")
    read = BootEntry(option.pack())
    assert (str(read.title), read.attr, read.optdata) == ("Debian", 1, b"data")
    assert bytes(read.devicepath) == PATH


def test_what_others_write():
    option = LoadOption.unpack(bytes(BootEntry(LoadOption("x", PATH).pack())))
    assert (option.description, option.path, option.data, option.active) == ("x", PATH, b"", True)


def test_only_the_first_path_counts():
    raw = LoadOption("x", PATH + PATH, b"data").pack()
    assert LoadOption.unpack(raw) == LoadOption("x", PATH, b"data")


@pytest.mark.parametrize(
    "data", [b"", b"\1\0\0\0\0", b"\1\0\0\0\xff\xff\0\0", b"\1\0\0\0\4\0a\0\0\0\4\4\0\0", b"\1\0\0\0\4\0aa"]
)
def test_what_is_none(data):
    with pytest.raises(ValueError, match="load option"):
        LoadOption.unpack(data)


@given(st.binary(max_size=80))
def test_any_bytes(data):
    try:
        option = LoadOption.unpack(data)
    except ValueError:
        return
    assert option.path.endswith(END)
