import struct

from efi_services.slaunch.boot_params import BootParams, read


class Bytes:
    def __init__(self, data):
        self.data = data

    def read(self, address, size):
        return bytes(self.data[address : address + size])


def test_what_they_lead_to():
    page = bytearray(8192)
    page[5000:5008] = b"a=b c=d\0"
    for at, value in {
        0x228: 5000, 0x218: 0x1000, 0xC0: 2, 0x21C: 0x30, 0xC4: 1, 0x1D0: 0x4000, 0x1DC: 3, 0x1D4: 480, 0x250: 0x77,
    }.items():  # fmt: skip
        struct.pack_into("<I", page, at, value)
    assert read(Bytes(page), 0) == BootParams(
        0x77, (5000, 8), (3 << 32 | 0x4000, 480), (2 << 32 | 0x1000, 1 << 32 | 0x30)
    )
    struct.pack_into("<I", page, 0x238, 2048)
    assert read(Bytes(page), 0).command_line == (5000, 2048)


def test_what_is_not_there_is_nothing():
    assert read(Bytes(bytes(4096)), 0) == BootParams(0, (0, 0), (0, 0), (0, 0))


def test_a_text_that_goes_on_in_the_next_page():
    page = bytearray(8192)
    page[4090:4100] = b"x" * 10
    struct.pack_into("<I", page, 0x228, 4090)
    assert read(Bytes(page), 0).command_line == (4090, 11)


def test_a_text_without_an_end():
    page = bytearray(b"x" * 8192)
    page[:4096] = bytes(4096)
    struct.pack_into("<I", page, 0x228, 4096)
    assert read(Bytes(page), 0).command_line == (4096, 4096)
