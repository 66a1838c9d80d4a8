"""Linux kernels by their own headers, which they carry beside the PE headers.

Sources: Documentation/arch/x86/boot.rst, Documentation/arch/arm64/booting.rst,
Documentation/arch/riscv/boot-image-header.rst, drivers/firmware/efi/libstub/zboot-header.S,
arch/arm/boot/compressed/head.S. All fields are little-endian. A header that isn't there gives None; one that lies is
``NotRunnable``; every offset is checked before it is read.
"""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from payloads.errors import NotRunnable
from payloads.model import (
    Arm32ZImageHeader,
    Arm64ImageHeader,
    BzImageHeader,
    Kind,
    LinuxHeader,
    Machine,
    RiscvImageHeader,
    ZbootHeader,
)

if TYPE_CHECKING:
    from payloads.model import PeImage

_XLOADFLAGS = (
    "XLF_KERNEL_64",
    "XLF_CAN_BE_LOADED_ABOVE_4G",
    "XLF_EFI_HANDOVER_32",
    "XLF_EFI_HANDOVER_64",
    "XLF_EFI_KEXEC",
    "XLF_5LEVEL",
    "XLF_5LEVEL_ENABLED",
    "XLF_MEM_ENCRYPTION",
)
_COMPRESSIONS = (
    (b"\x1f\x8b", "gzip"),
    (b"\x1f\x9e", "gzip"),
    (b"BZh", "bzip2"),
    (b"\x5d\x00", "lzma"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x89LZO", "lzo"),
    (b"\x02!L\x18", "lz4"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x7fELF", "none"),
)
#: How Makefile.zboot names what it compresses with, and as what `_COMPRESSIONS` knows the result.
ZBOOT_COMPRESSIONS = {
    "gzip": "gzip",
    "lzma": "lzma",
    "lzo": "lzo",
    "xzkern": "xz",
    "lz4": "lz4",
    "zstd22": "zstd",
    "zstd": "zstd",
}
_BANNER_START = b"Linux version "
_BANNER = re.compile(_BANNER_START + rb"(\d[!-~]{0,99}) ")
_MIN_BZIMAGE_PROTOCOL = 0x020B  # the first with the EFI hand-over entry; the EFI stub itself is of the same age


def recognise(data: bytes, image: PeImage) -> tuple[Kind, LinuxHeader, str | None] | None:
    """Tell which kind of Linux kernel an image is.

    Args:
        data: the whole file.
        image: its PE headers; the machine decides which headers are looked for.

    Returns:
        Kind, decoded header and kernel version (where it can be read without unpacking), or None: no Linux kernel.

    Raises:
        NotRunnable: the kernel's header contradicts the file.
    """
    if data[4:8] == b"zimg":
        return Kind.LINUX_ZBOOT, _zboot(data, image), None
    match image.machine:
        case Machine.X86_64 | Machine.I386 if data[0x202:0x206] == b"HdrS":
            bzimage = _bzimage(data)
            return None if bzimage is None else (Kind.LINUX_BZIMAGE, bzimage, bzimage.version)
        case Machine.AARCH64 if data[0x38:0x3C] == b"ARM\x64":
            return Kind.LINUX_ARM64_IMAGE, _arm64(data, image), _banner(data)
        case Machine.RISCV64 if data[0x38:0x3C] == b"RSC\x05" or data[0x30:0x38] == b"RISCV\0\0\0":
            return Kind.LINUX_RISCV_IMAGE, _riscv(data, image), _banner(data)
        case Machine.ARM if data[0x24:0x28] == b"\x18\x28\x6f\x01":
            return Kind.LINUX_ARM32_ZIMAGE, _zimage(data), None
    return None


def _bzimage(data: bytes) -> BzImageHeader | None:
    """Read the setup header (boot.rst, "The Real-Mode Kernel Header").

    None when it is older than the EFI stub, or when there is no compressed kernel behind it: memtest86+ wears the
    header to be loaded as a kernel is.
    """
    if len(data) < 0x268:
        raise NotRunnable("the kernel is truncated: it ends within its setup header")
    protocol = _u16(data, 0x206)
    if protocol < _MIN_BZIMAGE_PROTOCOL:
        return None
    setup_sects = data[0x1F1] or 4  # 0 means 4, since before 2.00
    payload_offset, payload_length = struct.unpack_from("<II", data, 0x248)
    if not payload_length:
        return None
    # offset counts from the protected-mode code, which follows the boot sector and the setup sectors
    start = (setup_sects + 1) * 512 + payload_offset
    if start + payload_length > len(data):
        raise NotRunnable("the kernel's compressed payload lies outside the file")
    # the flags came with protocol 2.12
    xloadflags = _u16(data, 0x236) if protocol >= 0x020C else 0
    pointer = _u16(data, 0x20E)
    return BzImageHeader(
        protocol=f"{protocol >> 8}.{protocol & 0xFF:02}",
        version=_first_word(data, 0x200 + pointer) if pointer else None,
        xloadflags=xloadflags,
        xloadflag_names=_bit_names(xloadflags, _XLOADFLAGS),
        handover_offset=_u32(data, 0x264) or None,
        setup_sects=setup_sects,
        payload_offset=payload_offset,
        payload_length=payload_length,
        compression=_compression(data[start : start + min(8, payload_length)]),
        init_size=_u32(data, 0x260),
        pref_address=struct.unpack_from("<Q", data, 0x258)[0],
        relocatable=bool(data[0x234]),
        kernel_alignment=_u32(data, 0x230),
    )


def _arm64(data: bytes, image: PeImage) -> Arm64ImageHeader:
    """Read the arm64 Image header; code0 is the "MZ" instruction, code1 the branch to the kernel's entry."""
    if len(data) < 0x40:
        raise NotRunnable("the kernel is truncated: it ends within its Image header")
    code1, text_offset, image_size, flags = struct.unpack_from("<IQQQ", data, 4)
    entry = None
    if code1 >> 26 == 0b000101:  # b, in words from the instruction itself
        entry = 4 + 4 * _signed(code1 & 0x3FF_FFFF, 26)
    names = ["big-endian" if flags & 1 else "little-endian"]
    names.append("anywhere in memory" if flags & 8 else "near the base of memory")
    header = Arm64ImageHeader(text_offset, image_size, flags, tuple(names), _inside(entry, image))
    if header.page_size is not None:
        names.insert(1, f"{header.page_size >> 10} KiB pages")
    return replace(header, flag_names=tuple(names))


def _riscv(data: bytes, image: PeImage) -> RiscvImageHeader:
    """Read the RISC-V Image header; it starts with c.li (which spells "MZ") and a jump to the kernel's entry."""
    if len(data) < 0x40:
        raise NotRunnable("the kernel is truncated: it ends within its Image header")
    text_offset, image_size, flags, version = struct.unpack_from("<QQQI", data, 8)
    return RiscvImageHeader(
        text_offset=text_offset,
        image_size=image_size,
        flags=flags,
        flag_names=("big-endian" if flags & 1 else "little-endian",),
        header_version=f"{version >> 16}.{version & 0xFFFF}",
        declared_kernel_entry=_inside(_riscv_jump(data, 2), image),
    )


def _riscv_jump(data: bytes, at: int) -> int | None:
    """Where the jump at *at* leads: ``j`` or ``c.j`` (RISC-V unprivileged ISA, J and CJ formats), None for all else."""
    word = _u32(data, at)
    if word & 0xFFF == 0x06F:  # jal with rd = x0
        offset = (word >> 31) << 20 | (word >> 12 & 0xFF) << 12 | (word >> 20 & 1) << 11 | (word >> 21 & 0x3FF) << 1
        return at + _signed(offset, 21)
    if word & 0xE003 == 0xA001:  # c.j; its immediate is scattered: bits 11|4|9:8|10|6|7|3:1|5
        bits = word >> 2 & 0x7FF
        offset = 0
        for position, bit in enumerate((5, 1, 2, 3, 7, 6, 10, 8, 9, 4, 11)):
            offset |= (bits >> position & 1) << bit
        return at + _signed(offset, 12)
    return None


def _zboot(data: bytes, image: PeImage) -> ZbootHeader:
    """Read the zboot header; the kernel's own loader unpacks by what it was built with, others by this header."""
    if len(data) < 0x40:
        raise NotRunnable("the kernel is truncated: it ends within its zboot header")
    offset, size = struct.unpack_from("<II", data, 8)
    if offset + size > len(data):
        raise NotRunnable("the kernel's compressed payload lies outside the file")
    if not any(each.raw_offset <= offset < offset + size <= each.raw_offset + each.raw_size for each in image.sections):
        raise NotRunnable("the kernel's compressed payload is empty, or lies in no section")
    name = data[0x18:0x38].split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    expected = ZBOOT_COMPRESSIONS.get(name)
    if expected is None:
        raise NotRunnable(f"the kernel's zboot header names no known compression ({name[:16]!r})")
    found = _compression(data[offset : offset + min(8, size)])
    if found != expected:
        raise NotRunnable(f"the kernel's zboot header says {name}, its payload begins as {found or 'nothing known'}")
    return ZbootHeader(offset, size, name)


def _zimage(data: bytes) -> Arm32ZImageHeader:
    if len(data) < 0x34:
        raise NotRunnable("the kernel is truncated: it ends within its zImage header")
    start, end = struct.unpack_from("<II", data, 0x28)
    return Arm32ZImageHeader(start, end, little_endian=_u32(data, 0x30) == 0x0403_0201)


def _banner(data: bytes) -> str | None:
    """The release out of the banner that every uncompressed kernel carries ("Linux version 6.12 (builder) ...")."""
    # Its start is looked for by itself: an expression takes five times as long for a whole kernel.
    at = data.find(_BANNER_START)
    while at >= 0:
        if found := _BANNER.match(data, at):
            return found[1].decode("ascii")
        at = data.find(_BANNER_START, at + 1)
    return None


def _first_word(data: bytes, at: int) -> str | None:
    """First word of the NUL-terminated string at *at*; the setup header's version string goes on with the builder."""
    found = re.compile(rb"[!-~]{1,100}(?=[ \0])").match(data, at)
    return found[0].decode("ascii") if found else None


def _compression(magic: bytes) -> str | None:
    """Name of the format that starts with these bytes, as scripts/extract-vmlinux tells them apart."""
    return next((name for start, name in _COMPRESSIONS if magic.startswith(start)), None)


def _bit_names(value: int, names: tuple[str, ...]) -> tuple[str, ...]:
    known = [name for bit, name in enumerate(names) if value >> bit & 1]
    unknown = [f"bit {bit}" for bit in range(len(names), 16) if value >> bit & 1]
    return (*known, *unknown)


def _inside(rva: int | None, image: PeImage) -> int | None:
    """The address when it can be an entry, past the header and inside the image; else None."""
    return rva if rva is not None and 0x40 <= rva < image.size_of_image else None


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")
