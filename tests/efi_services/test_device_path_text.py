"""Device paths in words, and made of words; the expected texts are EDK2's."""

import struct
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.device_path import END, INSTANCE_END, file_path, hard_drive, memory_mapped, pci, sata, vendor_media
from efi_services.device_path_text import from_text, to_text

GUID = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
TEXTS = {
    "PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)": pci(0, 0x1F, 2) + sata(0),
    "HD(1,GPT,C12A7328-F81F-11D2-BA4B-00A0C93EC93B,0x800,0x10800)": hard_drive(1, 0x800, 0x10800, GUID.bytes_le, 2),
    "HD(2,MBR,0x1234ABCD,0x800,0x1000)": hard_drive(2, 0x800, 0x1000, b"\xcd\xab\x34\x12".ljust(16, b"\0"), 1),
    "\\EFI\\BOOT\\BOOTX64.EFI": file_path("\\EFI\\BOOT\\BOOTX64.EFI"),
    "VenMedia(C12A7328-F81F-11D2-BA4B-00A0C93EC93B)": vendor_media(GUID),
    "MemoryMapped(0xB,0x1000,0x1FFF)": memory_mapped(11, 0x1000, 0x1FFF),
    "Acpi(PNP0C0F,0x1)": struct.pack("<BBHII", 2, 1, 12, 0x0C0F41D0, 1),
    "Serial(0x1)": struct.pack("<BBHII", 2, 1, 12, 0x050141D0, 1),
    "MAC(525400ABCDEF,0x1)": b"\3\x0b\x25\0" + bytes.fromhex("525400abcdef").ljust(32, b"\0") + b"\1",
    "Uart(115200,8,N,1)": struct.pack("<BBHIQBBB", 3, 14, 19, 0, 115200, 8, 1, 1),
    "Uart(DEFAULT,DEFAULT,D,1.5)": struct.pack("<BBHIQBBB", 3, 14, 19, 0, 0, 0, 0, 2),
    "NVMe(0x1,00-25-38-B2-71-B5-06-2A)": struct.pack("<BBHIQ", 3, 23, 16, 1, 0x002538B271B5062A),
    "SD(0x0)": b"\3\x1a\5\0\0",
    "eMMC(0x1)": b"\3\x1d\5\0\1",
    "Offset(0x1000,0x1FFF)": struct.pack("<BBHIQQ", 4, 8, 24, 0, 0x1000, 0x1FFF),
    "VenHw(C12A7328-F81F-11D2-BA4B-00A0C93EC93B,00FF)": struct.pack("<BBH", 1, 4, 22) + GUID.bytes_le + b"\0\xff",
    "PcCard(0x1)": b"\1\2\5\0\1",
    "Ctrl(0x2)": struct.pack("<BBHI", 1, 5, 8, 2),
    "BMC(0x1,0xCA2)": struct.pack("<BBHBQ", 1, 6, 13, 1, 0xCA2),
    "AcpiAdr(0x80010100,0x1)": struct.pack("<BBHII", 2, 3, 12, 0x80010100, 1),
    "Ata(Secondary,Master,0x3)": struct.pack("<BBHBBH", 3, 1, 8, 1, 0, 3),
    "Fibre(0x11,0x2)": struct.pack("<BBHIQQ", 3, 3, 24, 0, 0x11, 2),
    "I1394(00D0B7FFFE1E4B5A)": struct.pack("<BBHIQ", 3, 4, 16, 0, 0xD0B7FFFE1E4B5A),
    "UsbClass(0x1234,0xFFFF,0xEE,0x1,0x2)": struct.pack("<BBHHHBBB", 3, 15, 11, 0x1234, 0xFFFF, 0xEE, 1, 2),
    "UsbHub(0xFFFF,0xFFFF,0x0,0x1)": struct.pack("<BBHHHBBB", 3, 15, 11, 0xFFFF, 0xFFFF, 9, 0, 1),
    "Unit(0x3)": b"\3\x11\5\0\3",
    "Vlan(100)": struct.pack("<BBHH", 3, 20, 6, 100),
    "Uri(http://192.0.2.1/a,b)": b"\3\x18\x18\0http://192.0.2.1/a,b",
    "UFS(0x0,0x1)": b"\3\x19\6\0\0\1",
    "Bluetooth(001122AABBCC)": b"\3\x1b\x0a\0\0\x11\x22\xaa\xbb\xcc",
    "Wi-Fi(example)": b"\3\x1c\x24\0" + b"example".ljust(32, b"\0"),
    "Media(C12A7328-F81F-11D2-BA4B-00A0C93EC93B)": struct.pack("<BBH", 4, 5, 20) + GUID.bytes_le,
    "VirtualCD(0x1000,0x1FFF,2)": struct.pack("<BBHQQ", 4, 9, 38, 0x1000, 0x1FFF)
    + uuid.UUID("3d5abd30-4175-87ce-6d64-d2ade523c4bb").bytes_le
    + b"\2\0",
    "RamDisk(0x1000,0x1FFF,0,C12A7328-F81F-11D2-BA4B-00A0C93EC93B)": struct.pack("<BBHQQ", 4, 9, 38, 0x1000, 0x1FFF)
    + GUID.bytes_le
    + b"\0\0",
    "Path(7,9,ABCD)": b"\7\x09\6\0\xab\xcd",
}


@pytest.mark.parametrize(("text", "path"), TEXTS.items(), ids=TEXTS)
def test_both_ways(text, path):
    assert to_text(path + END) == text
    assert from_text(text) == path + END


def test_several_instances():
    path = pci(0, 1, 0) + INSTANCE_END + pci(0, 2, 0) + END
    assert to_text(path) == "PciRoot(0x0)/Pci(0x1,0x0),PciRoot(0x0)/Pci(0x2,0x0)"
    assert from_text(to_text(path)) == path


def test_what_is_no_node_is_a_file():
    assert from_text("dir/file(1).txt") == file_path("dir") + file_path("file(1).txt") + END
    assert from_text("") == END


@pytest.mark.parametrize(
    "text",
    [
        "Pci(x,1)",
        "Pci(1)",
        "Pci(0x100,0)",
        "HD(1,GPT,nothing,1,2)",
        "Sata(1,2)",
        "Path(1,2,x)",
        "MAC(5,1)",
        "MAC(00)",
        "Uart(1,8,X,1)",
        "Uart(1,8,N,3)",
        "NVMe(1,x)",
        "Offset(1)",
        "SD(256)",
        "Ata(Third,Master,0)",
        "UsbHub(1,2,3)",
        "UsbClass(1,2,3,4)",
        "Bluetooth(00)",
        "I1394(x)",
        "RamDisk(0,1,2)",
        "Uri(\u4e00)",
    ],
)
def test_numbers_that_are_none(text):
    with pytest.raises(ValueError, match=r".+"):
        from_text(text)


@given(st.binary(max_size=100))
def test_any_bytes(data):
    assert isinstance(to_text(data), str)


@given(st.text(alphabet="Pci(0,1)/HDGT\\x,:", max_size=40))
def test_any_text(text):
    try:
        path = from_text(text)
    except ValueError:
        return
    assert path.endswith(END)
