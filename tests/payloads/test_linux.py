import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payloads import Kind, NotRunnable, identify
from payloads.describe import describe


def test_bzimage(build):
    payload = identify(build.bzimage().build(), "k")
    header = payload.linux
    assert payload.kind is Kind.LINUX_BZIMAGE
    assert payload.version == header.version == "6.12.1-test"
    assert header.protocol == "2.15"
    assert header.xloadflags == 0x7F
    assert header.xloadflag_names[0] == "XLF_KERNEL_64"
    assert header.xloadflag_names[-1] == "XLF_5LEVEL_ENABLED"
    assert header.handover_offset == 0x10
    assert header.compression == "zstd"
    assert (header.payload_offset, header.payload_length) == (0, 0x200)
    assert (header.pref_address, header.init_size) == (0x100_0000, 0x300_0000)
    assert header.relocatable
    assert header.kernel_alignment == 0x200000
    assert payload.declared_kernel_entry is None


@pytest.mark.parametrize(
    ("magic", "name"),
    [
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"BZh9", "bzip2"),
        (b"\x5d\0\0\0", "lzma"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x89LZO", "lzo"),
        (b"\x02!L\x18", "lz4"),
        (b"\x7fELF", "none"),
        (b"????", None),
    ],
)
def test_bzimage_compression(build, magic, name):
    pe = build.bzimage()
    pe.parts[0].data = magic.ljust(0x200, b"\0")
    assert identify(pe.build(), "k").linux.compression == name


def test_bzimage_without_handover_or_version(build):
    pe = build.bzimage()
    pe.header_patches |= {0x264: bytes(4), 0x20E: bytes(2)}
    payload = identify(pe.build(), "k")
    assert payload.linux.handover_offset is None
    assert payload.version is None


def test_bzimage_of_protocol_2_11_has_no_xloadflags(build):
    pe = build.bzimage()
    pe.header_patches[0x206] = b"\x0b\x02"
    header = identify(pe.build(), "k").linux
    assert (header.protocol, header.xloadflags, header.xloadflag_names) == ("2.11", 0, ())


def test_bzimage_older_than_the_stub_is_a_plain_program(build):
    pe = build.bzimage()
    pe.header_patches[0x206] = b"\x04\x02"
    assert identify(pe.build(), "k").kind is Kind.EFI_APPLICATION


def test_a_program_that_wears_the_header_without_a_kernel_behind_it(build):
    pe = build.bzimage()
    pe.header_patches[0x24C] = bytes(4)
    assert identify(pe.build(), "k").kind is Kind.EFI_APPLICATION


def test_unknown_xloadflags_keep_their_bit(build):
    pe = build.bzimage()
    pe.header_patches[0x236] = b"\1\x80"
    assert identify(pe.build(), "k").linux.xloadflag_names == ("XLF_KERNEL_64", "bit 15")


@pytest.mark.parametrize("pointer", [0xFFFF, 0x7E00, 0x0001])
def test_bzimage_version_string_outside_or_unprintable(build, pointer):
    pe = build.bzimage()
    pe.header_patches[0x20E] = struct.pack("<H", pointer)
    assert identify(pe.build(), "k").version is None


def test_bzimage_whose_payload_lies_outside_the_file(build):
    pe = build.bzimage()
    pe.header_patches[0x24C] = b"\xff\xff\xff\xff"
    with pytest.raises(NotRunnable, match="compressed payload lies outside"):
        identify(pe.build(), "k")


def test_arm64_image(build):
    payload = identify(build.arm64_image().build(), "k")
    assert payload.kind is Kind.LINUX_ARM64_IMAGE
    assert payload.version == "6.12.1-arm64"
    assert payload.linux.image_size == 0x3000
    assert payload.linux.flag_names == ("little-endian", "4 KiB pages", "anywhere in memory")
    assert payload.declared_kernel_entry == 4 + 4 * 0x400


@pytest.mark.parametrize("code1", [0xD503_201F, 0x17FF_FFFF, 0x15FF_FFFF, 0x1400_0001])
def test_arm64_branch_that_leads_nowhere(build, code1):
    assert identify(build.arm64_image(code1).build(), "k").declared_kernel_entry is None


def test_arm64_banner_must_be_a_real_one(build):
    assert identify(build.arm64_image(banner=b"Linux version %s (%s)").build(), "k").version is None


def jal(offset):
    bits = offset & 0x1F_FFFF
    word = (bits >> 20) << 31 | (bits >> 1 & 0x3FF) << 21 | (bits >> 11 & 1) << 20 | (bits >> 12 & 0xFF) << 12 | 0x6F
    return struct.pack("<I", word)


@pytest.mark.parametrize("offset", [0x10FE, 0x7FE, 0x800, 0x1000, 0x1FFA])
def test_riscv_jump(build, offset):
    payload = identify(build.riscv_image(jal(offset)).build(), "k")
    assert payload.kind is Kind.LINUX_RISCV_IMAGE
    assert payload.version == "6.12.1-riscv"
    assert payload.linux.header_version == "0.2"
    expected = offset + 2
    assert payload.declared_kernel_entry == (expected if expected < payload.image.size_of_image else None)


@pytest.mark.parametrize(
    ("code", "entry"),
    [
        (0xA0A1, 2 + 0x48),  # c.j .+0x48, as the assembler writes it
        (0xA001, None),  # c.j .: to itself, in the header
        (0xBFFD, None),  # c.j .-2: before the image
        (0x0001, None),  # c.nop
    ],
)
def test_riscv_compressed_jump(build, code, entry):
    assert identify(build.riscv_image(struct.pack("<H", code)).build(), "k").declared_kernel_entry == entry


@pytest.mark.parametrize("machine", ["loongarch64", "aarch64", "riscv64", "x86_64"])
def test_zboot(build, machine):
    payload = identify(build.zboot_image(build.MACHINES[machine]).build(), "k")
    assert payload.kind is Kind.LINUX_ZBOOT
    assert payload.machine == machine
    assert payload.linux.compression == "zstd"
    assert payload.declared_kernel_entry is None


#: What each compression's own tool puts at the start, by the name that a zboot header has for it.
ZBOOT = {
    b"gzip": b"\x1f\x8b\x08", b"lzma": b"\x5d\0\0", b"lzo": b"\x89LZO\0", b"xzkern": b"\xfd7zXZ\0",
    b"lz4": b"\x02!L\x18", b"zstd22": b"\x28\xb5\x2f\xfd", b"zstd": b"\x28\xb5\x2f\xfd",
}  # fmt: skip


@pytest.mark.parametrize("name", ZBOOT)
def test_every_compression_of_zboot(build, name):
    payload = identify(build.zboot_image(0xAA64, name, ZBOOT[name]).build(), "k")
    assert payload.kind is Kind.LINUX_ZBOOT
    assert payload.linux.compression == name.decode()
    described = describe(payload)["linux"]
    assert described == {"payload_offset": "0x400", "payload_size": 0x200, "compression": name.decode()}


@pytest.mark.parametrize("name", [b"", b"none", b"xz", b"gzip2", b"\xff" * 32, b"\x1b[31m\n"])
def test_a_compression_that_zboot_does_not_know(build, name):
    with pytest.raises(NotRunnable, match="names no known compression") as refused:
        identify(build.zboot_image(name=name).build(), "k")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", [b"gzip", b"lzma", b"lzo", b"xzkern", b"lz4"])
def test_zboot_that_lies_about_its_compression(build, name):
    with pytest.raises(NotRunnable, match=f"says {name.decode()}, its payload begins as zstd"):
        identify(build.zboot_image(name=name).build(), "k")
    with pytest.raises(NotRunnable, match=f"says {name.decode()}, its payload begins as nothing known"):
        identify(build.zboot_image(name=name, begins=b"").build(), "k")


@pytest.mark.parametrize(
    ("offset", "size", "why"),
    [
        (0x400, 0xFFFF_FFFF, "outside the file"),
        (0xFFFF_FFFF, 0x200, "outside the file"),
        (0x7FFF_FFFF, 0x8000_0001, "outside the file"),
        (0x400, 0, "is empty, or lies in no section"),
        (0, 0x10, "is empty, or lies in no section"),
        (0x3FF, 0x201, "is empty, or lies in no section"),
        (0x400, 0x201, "is empty, or lies in no section"),
        (0x401, 0x1FF, "begins as nothing known"),
        (0x400, 3, "begins as nothing known"),
    ],
)
def test_zboot_that_lies_about_its_payload(build, offset, size, why):
    pe = build.zboot_image()
    pe.header_patches[8] = struct.pack("<II", offset, size)
    with pytest.raises(NotRunnable, match=why):
        identify(pe.build(), "k")


def test_zimage(build):
    payload = identify(build.zimage().build(), "k")
    assert payload.kind is Kind.LINUX_ARM32_ZIMAGE
    assert payload.linux.end == 0x1000
    assert payload.linux.little_endian


def test_a_header_of_another_machine_is_not_believed(build):
    pe = build.bzimage()
    pe.machine = 0xAA64
    assert identify(pe.build(), "k").kind is Kind.EFI_APPLICATION


@settings(max_examples=300, deadline=2000)
@given(
    which=st.sampled_from(["bzimage", "arm64_image", "riscv_image", "zboot_image", "zimage", "uki"]),
    # around the PE headers, so that most examples get as far as the kernel's own
    mutations=st.lists(
        st.tuples(st.integers(4, 0x3B) | st.integers(0x1F0, 0x3FF), st.binary(min_size=1, max_size=8)), max_size=5
    ),
    cut=st.none() | st.integers(0, 0xA00),
)
def test_hostile_kernels_end_in_a_payload_or_in_not_runnable(build, which, mutations, cut):
    data = bytearray(getattr(build, which)().build())
    for at, replacement in mutations:
        replacement = replacement[: max(0, 0x3C - at)] if at < 0x3C else replacement
        data[at : at + len(replacement)] = replacement
    try:
        payload = identify(bytes(data[:cut]), "k")
    except NotRunnable:
        return
    entry = payload.declared_kernel_entry
    assert entry is None or 0 < entry < payload.image.size_of_image
