"""What a kernel is handed, put into memory by hand."""

import hashlib
import struct

import pytest

from efi_services.tcg.algorithms import Algorithm
from shim.handoff import pieces, x86
from shim.machine.ram import Ram

START, END = 0x1000, 0x10_0000
BOOT_PARAMS, LIST, FAR = 0x2000, 0x8000, 0x9000
INDIRECT = 1 << 31


@pytest.fixture
def ram():
    return Ram(((START, END),))


@pytest.fixture
def collect(ram):
    """The pieces of boot_params with numbers at offsets, and the page itself."""

    def collects(**numbers):
        ram.write(BOOT_PARAMS + 0x1C0, b"EL64")
        for at, value in numbers.items():
            ram.write(BOOT_PARAMS + int(at.removeprefix("at_"), 16), struct.pack("<I", value))
        registers = dict.fromkeys(("gdt_base", "gdt_limit", "idt_base", "idt_limit"), 0) | {"rsi": BOOT_PARAMS}
        return pieces.collect(x86.collect(ram, registers), ram)

    return collects


def link(ram, at, data, following=0, kind=1):
    ram.write(at, struct.pack("<QII", following, kind, len(data)) + data)


def brief(found):
    return [(each.name, each.address, each.size) for each in found]


def digest(piece):
    return piece.digests[Algorithm.SHA256]


def test_all_pieces(ram, collect):
    ram.write(0x3000, b"quiet\0rubbish")
    ram.write(0x4000, b"map" * 16)
    ram.write(0x5000, b"cpio")
    link(ram, LIST, b"seed")
    found = collect(
        at_228=0x3000, at_238=2047, at_1d0=0x4000, at_1d4=48, at_218=0x5000, at_21c=4, at_250=LIST
    )  # fmt: skip
    assert brief(found) == [
        ("boot_params", BOOT_PARAMS, 4096),
        ("setup_data", LIST + 16, 4),
        ("command line", 0x3000, 2047),
        ("memory map", 0x4000, 48),
        ("initrd", 0x5000, 4),
    ]
    expected = (ram.read(BOOT_PARAMS, 4096), b"seed", ram.read(0x3000, 2047), b"map" * 16, b"cpio")
    assert [digest(each) for each in found] == [hashlib.sha256(each).digest() for each in expected]
    assert {each.call for each in found} == {None}


def test_nothing_but_the_page(collect):
    assert brief(collect()) == [("boot_params", BOOT_PARAMS, 4096)]


def test_other_architectures_have_none_of_it(ram):
    assert pieces.collect({"boot_params": None}, ram) == []
    assert pieces.collect({}, ram) == []


@pytest.mark.parametrize(
    ("address", "text", "size"),
    [
        (0x3000, b"quiet\0", 6),
        (0x3000, "größe=1".encode() + b"\0", 10),  # bytes, not characters
        (0x3000, b"\xff\xfe\0", 3),
        (0x3000, b"\0", 1),
        (0x3000, b"x" * 5000, 4096),  # no end in sight
        (END - 3, b"abc", 3),
        (END - 6, b"quiet\0", 6),
    ],
)
def test_a_command_line_whose_buffer_has_no_size_ends_with_its_zero(ram, collect, address, text, size):
    ram.write(address, text)
    _, found = collect(at_228=address)
    assert (found.name, found.size) == ("command line", size)
    assert digest(found) == hashlib.sha256(text[:size]).digest()


def test_links_follow_each_other(ram, collect):
    link(ram, LIST, b"one", LIST + 0x100)
    link(ram, LIST + 0x100, b"", LIST + 0x200)
    link(ram, LIST + 0x200, b"three")
    found = collect(at_250=LIST)[1:]
    assert [(each.size, digest(each)) for each in found] == [
        (len(each), hashlib.sha256(each).digest()) for each in (b"one", b"", b"three")
    ]


def test_an_indirect_link_gives_its_target_first(ram, collect):
    ram.write(FAR, b"far away")
    pointer = struct.pack("<IIQQ", 0, 0, 8, FAR)
    link(ram, LIST, pointer, kind=INDIRECT)
    found = collect(at_250=LIST)[1:]
    assert brief(found) == [("setup_data target", FAR, 8), ("setup_data", LIST + 16, 24)]
    assert [digest(each) for each in found] == [hashlib.sha256(each).digest() for each in (b"far away", pointer)]


def test_an_indirect_link_that_is_too_short_points_nowhere(ram, collect):
    link(ram, LIST, bytes(23), kind=INDIRECT)
    assert brief(collect(at_250=LIST)[1:]) == [("setup_data", LIST + 16, 23)]


@pytest.mark.parametrize(("address", "size"), [(0, 8), (END, 1), (END - 1, 2), (FAR, (1 << 64) - 1), (1 << 63, 1)])
def test_a_target_outside_of_memory_is_left_out(ram, collect, address, size):
    link(ram, LIST, struct.pack("<IIQQ", 0, 0, size, address), LIST + 0x100, INDIRECT)
    link(ram, LIST + 0x100, b"next")
    assert brief(collect(at_250=LIST)[1:]) == [("setup_data", LIST + 16, 24), ("setup_data", LIST + 0x110, 4)]


@pytest.mark.parametrize("links", [1, 2, 5])
def test_a_ring_is_walked_once(ram, collect, links):
    for number in range(links):
        link(ram, LIST + 0x100 * number, bytes([number]), LIST + 0x100 * ((number + 1) % links))
    assert len(collect(at_250=LIST)[1:]) == links


def test_a_list_longer_than_any_stubs_is_cut(ram, collect):
    for number in range(100):
        link(ram, LIST + 32 * number, b"x", LIST + 32 * (number + 1))
    assert len(collect(at_250=LIST)[1:]) == 64


@pytest.mark.parametrize("address", [8, END - 15, END, 0xFFFF_FFFF])
def test_a_list_that_lies_nowhere(collect, address):
    assert brief(collect(at_250=address)[1:]) == []


def test_a_list_that_leads_nowhere(ram, collect):
    link(ram, LIST, b"one", 1 << 60)
    assert len(collect(at_250=LIST)[1:]) == 1


@pytest.mark.parametrize(
    "numbers",
    [
        {"at_228": END},
        {"at_228": 0x3000, "at_238": 0xFFFF_FFFF},
        {"at_1d0": END, "at_1d4": 48},
        {"at_1d0": 0x4000, "at_1d4": 0xFFFF_FFFF},
        {"at_218": 0x5000, "at_21c": 4, "at_0c4": 1},
        {"at_0c0": 1, "at_218": 0x5000, "at_21c": 4},
    ],
)
def test_what_does_not_lie_in_memory_is_left_out(collect, numbers):
    assert brief(collect(**numbers)) == [("boot_params", BOOT_PARAMS, 4096)]
