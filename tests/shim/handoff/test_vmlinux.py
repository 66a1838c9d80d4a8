"""ELF kernels of a few pages, relocated as a stub would do it."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handoffs import ENTRY, PREFERRED, RELOCATED, SHIFT, bzimage, contents, elf, loaded
from shim.handoff import vmlinux
from shim.handoff.decompress import UndecodableError


def memory(data):
    return memoryview(bytes(data).ljust(0x4000, b"\0"))


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("shift", [0, SHIFT, -0x20_0000])
def test_a_relocated_kernel_is_the_files(wide, shift):
    relocated = RELOCATED if wide else RELOCATED[:1]
    kernel = vmlinux.read((payload := bzimage(wide=wide)).data, payload.linux)
    assert (kernel.entry, kernel.size) == (ENTRY, 0x4000)
    assert [each.tolist() for each in kernel.relocations] == [list(each) for each in relocated]
    assert kernel.difference(memory(loaded(wide, shift, relocated))) is None


@pytest.mark.parametrize("relocated", [((0x100,), (), (0x400,)), ((0x100,), (0x400, 0x408)), ((), (), ())])
def test_lists_may_be_empty_or_missing(relocated):
    kernel = vmlinux.parse(elf(relocated=relocated), PREFERRED)
    made = contents()
    # From Linux 6.15 on there are two lists: of 32 and of 64 bits.
    widths = (4, 8) if len(relocated) == 2 else (4, 4, 8)
    for places, width in zip(relocated, widths, strict=True):
        for at in places:
            value = int.from_bytes(made[at : at + width], "little") + SHIFT
            made[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    assert kernel.difference(memory(made)) is None


@pytest.mark.parametrize("at", [0, 0x50, 0x103, 0x205, 0x301, 0x40F, 0x2FFF])
def test_a_changed_byte_is_found(at):
    kernel, made = vmlinux.parse(elf(), PREFERRED), bytearray(loaded())
    made[at] ^= 0x40
    found = kernel.difference(memory(made))
    assert found is not None
    assert found <= at or at in range(0x100, 0x104)


def test_what_is_no_part_of_the_file_may_be_anything():
    assert vmlinux.parse(elf(), PREFERRED).difference(memoryview(loaded() + b"\xff" * 0x1000)) is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no ELF magic"),
        (b"\x7fELF", "no ELF magic"),
        (b"\x7fELF\3" + bytes(100), "no ELF magic"),
        (elf()[:60], "no ELF kernel"),
        (elf(entry=PREFERRED + 0x4000), "its entry is 0x1004000"),
        (elf()[:0x38] + b"\xff\xff" + elf()[0x3A:], "65535 program headers"),
        (elf()[:0x38] + b"\0\0" + elf()[0x3A:], "nothing in it is loaded"),
        (elf()[:0x58] + struct.pack("<Q", 0) + elf()[0x60:], "a segment at 0x0"),
        (elf()[:0x48] + struct.pack("<Q", 1 << 40) + elf()[0x50:], "a segment lies outside"),
    ],
)
def test_what_is_no_kernel(data, why):
    with pytest.raises(UndecodableError, match=why):
        vmlinux.parse(data, PREFERRED)


@given(st.lists(st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=8)), max_size=6), st.binary(max_size=64))
@settings(deadline=None, max_examples=200, database=None)
def test_hostile_headers(changes, tail):
    data = bytearray(elf() + tail)
    for at, new in changes:
        data[at : at + len(new)] = new
    try:
        kernel = vmlinux.parse(bytes(data), PREFERRED)
    except UndecodableError:
        return
    assert 0 <= kernel.entry < kernel.size <= 256 << 20
