import struct

import pytest

from efi_services.ports import MemoryFault
from efi_services.slaunch.dlme import UUID, Dlme, DlmeError, read

BASE, OFFSET, TABLE = 0x1000, 0x100, 0x9000


class Bytes:
    def __init__(self, data):
        self.data = data

    def read(self, address, size):
        if address + size > BASE + len(self.data):
            raise MemoryFault(address, size, write=False)
        return bytes(self.data[address - BASE : address - BASE + size])


def image(uuid=UUID, length=52, entry=0x200, start=0, end=0x800, size=0x1000):
    data = bytearray(size)
    struct.pack_into("<16s9I", data, OFFSET, uuid, length, 0x20003, entry, 0, start, end, 0, 0, 0)
    return Bytes(data)


def test_a_header_is_read():
    assert read(image(), BASE, OFFSET, TABLE) == Dlme(BASE, OFFSET, TABLE, 0x1200, 0x1000, 0x1800)
    assert read(image(), BASE, OFFSET, TABLE).size == 0x800


def test_the_identifier_is_that_of_intels_guide():
    assert UUID.hex() == "5aac82906f47a7740f5c55a2cb51b642"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"uuid": bytes(16)}, "there is no MLE header at 0x1100"),
        ({"length": 51}, "says that it has 51 bytes"),
        ({"entry": 0x800}, "begins at 0x800"),
        ({"start": 0x300}, "begins at 0x200"),
        ({"start": 0x180}, "it is 0x180 to 0x800"),
        ({"end": 0xFFFF_FFFF}, "not below 4 GiB"),
    ],
)
def test_a_header_that_makes_no_sense(change, says):
    with pytest.raises(DlmeError, match=says):
        read(image(**change), BASE, OFFSET, TABLE)


def test_above_4_gib_there_is_none():
    with pytest.raises(DlmeError, match="not below 4 GiB"):
        read(image(), 1 << 32, OFFSET, TABLE)


def test_what_is_measured_has_to_be_memory():
    with pytest.raises(MemoryFault):
        read(image(end=0x2000), BASE, OFFSET, TABLE)
