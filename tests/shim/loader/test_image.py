"""Placing images, beside a loader that knows the PE specification only."""

import struct
from importlib import resources

import pytest

import payloads
from efi_services.ports import Access
from shim.loader import LoadableImage, PeReader
from shim.loader.image import move_immediates

HELLO = (resources.files("payloads") / "programs" / "built" / "hello-x86_64.efi").read_bytes()


def headers(data):
    """Offsets of the COFF header, the optional header and the section table."""
    coff = struct.unpack_from("<I", data, 0x3C)[0] + 4
    optional = coff + 20
    return coff, optional, optional + struct.unpack_from("<H", data, coff + 16)[0]


def sections(data):
    """Header offset, name, virtual size, address, raw size, raw offset and flags of each section."""
    coff, _, table = headers(data)
    for i in range(struct.unpack_from("<H", data, coff + 2)[0]):
        at = table + 40 * i
        name = data[at : at + 8].rstrip(b"\0").decode()
        yield at, name, *struct.unpack_from("<4I", data, at + 8), struct.unpack_from("<I", data, at + 36)[0]


def naive_place(data, base):
    """The image at *base*, straight from the file's bytes (PE32+)."""
    _, optional, _ = headers(data)
    image_base, size, of_headers = (
        struct.unpack_from("<Q", data, optional + 24)[0],
        *struct.unpack_from("<2I", data, optional + 56),
    )
    memory = bytearray(size)
    memory[:of_headers] = data[:of_headers]
    for _, _, virtual_size, address, raw_size, raw, _ in sections(data):
        for i in range(min(virtual_size, raw_size)):
            memory[address + i] = data[raw + i]
    at, end = struct.unpack_from("<2I", data, optional + 112 + 8 * 5)
    end += at
    while at < end:
        page, block = struct.unpack_from("<2I", memory, at)
        for place in range(at + 8, at + block, 2):
            (entry,) = struct.unpack_from("<H", memory, place)
            if entry >> 12 == 10:  # DIR64
                target = page + (entry & 0xFFF)
                (value,) = struct.unpack_from("<Q", memory, target)
                struct.pack_into("<Q", memory, target, (value + base - image_base) % (1 << 64))
        at += block
    return bytes(memory)


def changed(data, at, value):
    return data[:at] + value + data[at + len(value) :]


def relocations(data):
    return payloads.identify(data, "hello").image.relocations


@pytest.fixture
def image():
    return PeReader().read_image(HELLO)


def test_it_tells_what_the_headers_say(image):
    _, optional, _ = headers(HELLO)
    assert image.architecture == "x86_64"
    assert image.subsystem == 10
    assert image.size == struct.unpack_from("<I", HELLO, optional + 56)[0]
    assert image.alignment == struct.unpack_from("<I", HELLO, optional + 32)[0]
    assert image.entry == struct.unpack_from("<I", HELLO, optional + 16)[0]
    assert image.kernel_entry is None
    assert image.fixed_base is None


def test_the_program_can_show_relocations():
    assert relocations(HELLO)


@pytest.mark.parametrize("base", [0, 0x1000, 0x4000_0000, 0x1_4000_0000, 0x7FFF_FFFF_F000, (1 << 64) - (1 << 20)])
def test_it_lies_as_the_specification_has_it(image, base):
    assert image.place(base) == naive_place(HELLO, base)


def test_relocations_move_by_the_distance(image):
    one, other = image.place(0x10_0000), image.place(0x18_0000)
    differing = {i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b}
    places = {each.rva for each in relocations(HELLO)}
    assert differing
    assert differing <= {place + i for place in places for i in range(8)}
    for place in places:
        a, b = (int.from_bytes(memory[place : place + 8], "little") for memory in (one, other))
        assert b - a == 0x8_0000


def test_at_its_own_base_nothing_is_relocated(image):
    _, optional, _ = headers(HELLO)
    (base,) = struct.unpack_from("<Q", HELLO, optional + 24)
    memory = image.place(base)
    for _, _, virtual_size, address, raw_size, raw, _ in sections(HELLO):
        size = min(virtual_size, raw_size)
        assert memory[address : address + size] == HELLO[raw : raw + size]


def test_placing_it_again_gives_the_same(image):
    assert image.place(0x5000) == image.place(0x5000)


def test_what_the_file_does_not_hold_is_zero(image):
    """As .bss: a section that is larger in memory than in the file."""
    _, _, virtual_size, address, raw_size, *_ = next(each for each in sections(HELLO) if each[1] == ".data")
    assert raw_size < virtual_size
    memory = image.place(0x10_0000)
    assert any(memory[address : address + raw_size])
    assert not any(memory[address + raw_size : address + virtual_size])
    assert len(memory) == image.size


def test_what_the_file_holds_beyond_the_section_is_not_loaded():
    at, _, _, address, raw_size, raw, _ = next(each for each in sections(HELLO) if each[1] == ".text")
    smaller = changed(HELLO, at + 8, struct.pack("<I", 16))
    assert raw_size > 16
    _, optional, _ = headers(HELLO)
    smaller = changed(smaller, optional + 16, struct.pack("<I", address))
    memory = PeReader().read_image(smaller).place(0)
    assert memory[address : address + 16] == HELLO[raw : raw + 16]
    assert not any(memory[address + 16 : address + raw_size])


def stripped(data):
    coff, _, _ = headers(data)
    (flags,) = struct.unpack_from("<H", data, coff + 18)
    return changed(data, coff + 18, struct.pack("<H", flags | 1))


def test_an_empty_section_may_lie_anywhere():
    *_, last = sections(HELLO)
    data = changed(HELLO, last[0] + 8, struct.pack("<4I", 0, 0x10, 0, 0))
    _, optional, _ = headers(data)
    # It is the one with the relocations.
    data = changed(data, optional + 112 + 8 * 5, bytes(8))
    assert last[1] == ".reloc"
    image = PeReader().read_image(data)
    assert image.place(image.fixed_base or 0) == naive_place(data, image.fixed_base or 0)


def test_without_relocations_it_lies_at_its_base_or_nowhere():
    _, optional, _ = headers(HELLO)
    (base,) = struct.unpack_from("<Q", HELLO, optional + 24)
    image = PeReader().read_image(stripped(HELLO))
    assert image.fixed_base == base
    assert image.place(base) == naive_place(stripped(HELLO), base)
    with pytest.raises(ValueError, match=f"{base:#x}"):
        image.place(base + 0x1000)


# Permissions.

R, W, X = 0x4000_0000, 0x8000_0000, 0x2000_0000


def with_flags(data, flags):
    """All sections with these permissions."""
    for at, *_, old in sections(data):
        data = changed(data, at + 36, struct.pack("<I", old & 0x1FFF_FFFF | flags))
    return data


@pytest.mark.parametrize(
    ("flags", "access"),
    [
        (0, Access.NONE),
        (R, Access.READ),
        (W, Access.RW),  # no page can be written but not read
        (R | W, Access.RW),
        (X, Access.RX),
        (R | X, Access.RX),
        (R | W | X, Access.RWX),
    ],
)
def test_sections_get_the_permissions_they_ask_for(flags, access):
    image = PeReader().read_image(with_flags(HELLO, flags))
    first, *rest = image.segments
    assert (first.name, first.offset, first.access) == ("headers", 0, Access.READ)
    assert {segment.access for segment in rest} == {access}


def test_segments_are_headers_and_sections(image):
    _, optional, _ = headers(HELLO)
    (of_headers,) = struct.unpack_from("<I", HELLO, optional + 60)
    expected = [("headers", 0, of_headers)]
    expected += [(name, address, size) for _, name, size, address, _, _, _ in sections(HELLO)]
    assert [(each.name, each.offset, each.size) for each in image.segments] == expected


def not_nx_compatible(data):
    _, optional, _ = headers(data)
    (flags,) = struct.unpack_from("<H", data, optional + 70)
    return changed(data, optional + 70, struct.pack("<H", flags & ~0x100))


def small_alignment(data):
    """Sections in steps of less than a page."""
    _, optional, _ = headers(data)
    return changed(data, optional + 32, struct.pack("<I", 0x200))


@pytest.mark.parametrize("change", [not_nx_compatible, small_alignment])
def test_images_that_can_not_be_held_to_permissions_may_do_everything(change):
    image = PeReader().read_image(change(HELLO))
    assert {segment.access for segment in image.segments} == {Access.RWX}


# The reader.


@pytest.mark.parametrize("data", [b"", b"MZ", HELLO[:0x100], b"\x7fELF" + bytes(100), bytes(4096)])
def test_what_is_no_image_is_refused_with_a_reason(data):
    with pytest.raises(ValueError, match=r"\w+") as caught:
        PeReader().read_image(data)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)


def test_the_reader_gives_loadable_images(image):
    assert isinstance(image, LoadableImage)


@pytest.mark.parametrize("address", [0, 0x1234_5678, 0x0000_FFFF, 0xFFFF_F800, 0x0880_7FFF])
@pytest.mark.parametrize("delta", [0, 0x1000, 0x7F8C_4000, -0x40_0000])
@pytest.mark.parametrize("register", [0, 3, 12])
def test_an_address_in_two_instructions_of_arm_moves(address, delta, register):
    def pair(value):
        """movw and movt, as an assembler makes them: the immediate is i, imm3 and imm8 behind imm4."""
        halves = []
        for opcode, part in ((0xF240, value & 0xFFFF), (0xF2C0, value >> 16)):
            halves.append(opcode | (part >> 11 & 1) << 10 | part >> 12)
            halves.append((part >> 8 & 7) << 12 | register << 8 | part & 0xFF)
        return struct.pack("<4H", *halves)

    assert move_immediates(pair(address), delta) == pair((address + delta) % (1 << 32))


def test_the_assembler_agrees():
    """clang's own: movw r1, #0xabcd; movt r1, #0x1234."""
    assert move_immediates(bytes.fromhex("4af6cd31c1f23421"), 0x1_0001) == bytes.fromhex("4af6ce31c1f23521")
