"""PE/COFF images as UEFI knows them (Microsoft PE/COFF specification; UEFI 2.10, 2.1.1).

The firmware reads images with this while a payload runs, so the bytes may be hostile: work and memory are bounded,
and nothing but ``NotRunnable`` escapes. pefile decodes the headers; it is made for looking at broken files and mends or
skips what does not fit, so everything it says is checked again here, and what a firmware would refuse is refused.
Base relocations are walked here: pefile spends about a kilobyte on each, and silently stops at a block that lies.
"""

from __future__ import annotations

import struct
from itertools import pairwise, starmap
from typing import NoReturn, TypeVar

import pefile

from payloads.errors import NotRunnable
from payloads.model import MAX_FILE_BYTES, Machine, PeImage, Relocation, RelocationKind, Section

Bytes = TypeVar("Bytes", bytes, memoryview)

MAX_IMAGE_BYTES = 1 << 30
MAX_SECTIONS = 2048  # pefile reads no more; an image with a device tree for each board has hundreds
MAX_RELOCATION_BYTES = 1 << 20

_PE32, _PE32_PLUS = 0x10B, 0x20B
_MACHINES = {
    0x014C: (Machine.I386, _PE32),
    0x8664: (Machine.X86_64, _PE32_PLUS),
    0xAA64: (Machine.AARCH64, _PE32_PLUS),
    0x01C2: (Machine.ARM, _PE32),  # "Thumb" in PE, which is what UEFI and Linux write for every 32-bit Arm image
    0x5064: (Machine.RISCV64, _PE32_PLUS),
    0x6264: (Machine.LOONGARCH64, _PE32_PLUS),
}
_SUBSYSTEMS = (10, 11, 12)  # EFI application, boot service driver, runtime driver
_DIRECTORIES_OFFSET = {_PE32: 96, _PE32_PLUS: 112}
_SECTION_HEADER_BYTES = 40
_BASE_RELOCATION_DIRECTORY = 5
_RELOCS_STRIPPED = 0x0001
_NX_COMPAT = 0x0100
_EXECUTE, _READ, _WRITE, _DISCARDABLE = 0x2000_0000, 0x4000_0000, 0x8000_0000, 0x0200_0000
_COMPATIBLE = struct.Struct("<BBHI")
_RELOCATIONS = {each.value: each for each in (RelocationKind.HIGHLOW, RelocationKind.DIR64)}
#: Numbers from 5 to 8 mean something else on each machine.
_ARM_RELOCATIONS = {**_RELOCATIONS, RelocationKind.THUMB_MOV32.value: RelocationKind.THUMB_MOV32}
_REFUSED_RELOCATIONS = {
    1: "HIGH",
    2: "LOW",
    4: "HIGHADJ",
    5: "RISCV_HIGH20 / ARM_MOV32",
    7: "RISCV_LOW12I / THUMB_MOV32",
    8: "RISCV_LOW12S / LOONGARCH_MARK_LA",
    9: "MIPS_JMPADDR16",
}


def read_image(data: bytes) -> PeImage:
    """Read and check the headers of an EFI image.

    Args:
        data: the whole file.

    Returns:
        The image's headers, fit to load.

    Raises:
        NotRunnable: the bytes are no EFI image that a firmware should load; the message says why in one line.
    """
    _check_signatures(data)
    try:
        pe = pefile.PE(data=data, fast_load=True)
    except pefile.PEFormatError as error:
        raise NotRunnable(f"no PE image: {error.args[0]}") from None
    except Exception as error:  # noqa: BLE001  pefile promises PEFormatError only, hostile bytes find the rest
        raise NotRunnable(f"no PE image: its headers can't be decoded ({type(error).__name__})") from None
    return _read(pe, data)


def section_bytes(data: Bytes, section: Section) -> Bytes:
    """The bytes of a section that come from the file, without alignment padding."""
    return data[section.raw_offset : section.raw_offset + min(section.raw_size, section.virtual_size)]


def authenticode(data: bytes, algorithm: str = "sha256") -> bytes:
    """The Authenticode digest of an image: what Secure Boot signs and db/dbx list.

    Args:
        data: the whole file.
        algorithm: ``sha1``, ``sha256``, ``sha384`` or ``sha512``.

    Raises:
        NotRunnable: the bytes are no PE image.
        ValueError: no such algorithm.
    """
    from payloads.signatures import authentihash  # LIEF takes half a second to import

    return authentihash(data, algorithm)


def _check_signatures(data: bytes) -> None:
    """Refuse what is no PE file at all, in words that say so."""
    if not data:
        raise NotRunnable("the file is empty")
    if len(data) > MAX_FILE_BYTES:
        raise NotRunnable(f"the file is bigger than {MAX_FILE_BYTES >> 20} MiB")
    if data[:2] != b"MZ":
        raise NotRunnable("no EFI image: the file does not start with MZ")
    if len(data) < 0x40:
        raise NotRunnable("the file is truncated: it ends within the DOS header")
    offset = int.from_bytes(data[0x3C:0x40], "little")
    if offset + 24 > len(data):
        raise NotRunnable("no EFI image, or a truncated one: the PE header lies outside the file")
    if data[offset : offset + 4] != b"PE\0\0":
        raise NotRunnable("no EFI image: the file has no PE signature")


def _read(pe: pefile.PE, data: bytes) -> PeImage:
    """Check what pefile decoded, and turn it into our values."""
    header, optional = pe.FILE_HEADER, pe.OPTIONAL_HEADER
    if header.Machine not in _MACHINES:
        raise NotRunnable(f"the image is for an unknown machine ({header.Machine:#06x})")
    machine, magic = _MACHINES[header.Machine]
    if optional.Magic != magic:
        raise NotRunnable(f"the optional header's magic {optional.Magic:#x} does not fit an image for {machine}")
    if optional.Subsystem not in _SUBSYSTEMS:
        raise NotRunnable(f"subsystem {optional.Subsystem} is no EFI subsystem (10, 11 or 12)")
    _check_tables(pe, data, magic)
    size = optional.SizeOfImage
    if not 0 < size <= MAX_IMAGE_BYTES:
        raise NotRunnable(f"SizeOfImage {size:#x} is zero or above 1 GiB")
    if not 0 < optional.SizeOfHeaders <= min(size, len(data)):
        raise NotRunnable(f"SizeOfHeaders {optional.SizeOfHeaders:#x} is zero, or beyond the file or the image")
    alignment = optional.SectionAlignment
    if alignment <= 0 or alignment & (alignment - 1):
        raise NotRunnable(f"SectionAlignment {alignment:#x} is no power of two")
    sections = _sections(pe, data, size, optional.SizeOfHeaders)
    entry = optional.AddressOfEntryPoint
    if not any(s.virtual_address <= entry < s.virtual_address + s.virtual_size for s in sections):
        raise NotRunnable(f"the entry point {entry:#x} lies outside the image's sections")
    return PeImage(
        machine=machine,
        subsystem=optional.Subsystem,
        entry_point=entry,
        image_base=optional.ImageBase,
        size_of_image=size,
        size_of_headers=optional.SizeOfHeaders,
        section_alignment=alignment,
        image_version=(optional.MajorImageVersion, optional.MinorImageVersion),
        nx_compat=bool(optional.DllCharacteristics & _NX_COMPAT),
        sections=sections,
        relocations=tuple(_relocations(_relocation_directory(pe, data, sections, size), size, machine)),
        relocations_stripped=bool(header.Characteristics & _RELOCS_STRIPPED),
    )


def _check_tables(pe: pefile.PE, data: bytes, magic: int) -> None:
    """Check that data directories and section table lie where the headers leave room for them."""
    header, optional = pe.FILE_HEADER, pe.OPTIONAL_HEADER
    directories = optional.NumberOfRvaAndSizes
    if directories > 16 or _DIRECTORIES_OFFSET[magic] + 8 * directories > header.SizeOfOptionalHeader:
        raise NotRunnable(f"{directories} data directories don't fit the optional header")
    if header.NumberOfSections > MAX_SECTIONS:
        raise NotRunnable(f"the image has {header.NumberOfSections} sections, more than {MAX_SECTIONS}")
    table_end = (
        pe.DOS_HEADER.e_lfanew + 24 + header.SizeOfOptionalHeader + _SECTION_HEADER_BYTES * header.NumberOfSections
    )
    if table_end > len(data):
        raise NotRunnable("the file is truncated: it ends within the section table")
    if table_end > optional.SizeOfHeaders:
        raise NotRunnable("the section table lies outside SizeOfHeaders")
    # pefile gives up on a section table that looks wrong to it, and says nothing
    if len(pe.sections) != header.NumberOfSections:
        raise NotRunnable(f"section header {len(pe.sections)} is no valid section header")


def _sections(pe: pefile.PE, data: bytes, size_of_image: int, size_of_headers: int) -> tuple[Section, ...]:
    """Turn section headers into sections in ascending order, or refuse them."""
    # pefile has sorted them already, in another way
    table = sorted(pe.sections, key=lambda header: header.get_file_offset())
    decoded = starmap(_section, enumerate(table))
    sections = tuple(sorted(decoded, key=lambda s: (s.virtual_address, s.virtual_size)))
    for section in sections:
        if section.virtual_address + section.virtual_size > size_of_image:
            raise NotRunnable(f"section {section.name} reaches outside SizeOfImage")
        if section.raw_size and section.raw_offset + section.raw_size > len(data):
            raise NotRunnable(f"the data of section {section.name} lies outside the file")
        if section.virtual_size and section.virtual_address < size_of_headers:
            raise NotRunnable(f"section {section.name} overlaps the headers in memory")
    for before, after in pairwise(s for s in sections if s.virtual_size):
        if before.virtual_address + before.virtual_size > after.virtual_address:
            raise NotRunnable(f"sections {before.name} and {after.name} overlap in memory")
    return sections


def _section(number: int, header: pefile.SectionStructure) -> Section:
    flags = header.Characteristics
    return Section(
        name=bytes(header.Name).split(b"\0", 1)[0].decode("ascii", "backslashreplace"),
        virtual_address=header.VirtualAddress,
        virtual_size=header.Misc_VirtualSize or header.SizeOfRawData,
        raw_offset=header.PointerToRawData,
        raw_size=header.SizeOfRawData,
        readable=bool(flags & _READ),
        writable=bool(flags & _WRITE),
        executable=bool(flags & _EXECUTE),
        discardable=bool(flags & _DISCARDABLE),
        number=number,
    )


def _relocation_directory(pe: pefile.PE, data: bytes, sections: tuple[Section, ...], size_of_image: int) -> bytes:
    """The bytes of the base relocation directory; empty when the image has none."""
    directories = pe.OPTIONAL_HEADER.DATA_DIRECTORY
    if len(directories) <= _BASE_RELOCATION_DIRECTORY or pe.FILE_HEADER.Characteristics & _RELOCS_STRIPPED:
        return b""
    start, size = (directories[_BASE_RELOCATION_DIRECTORY].VirtualAddress, directories[_BASE_RELOCATION_DIRECTORY].Size)
    if not size:
        return b""
    if start + size > size_of_image:
        raise NotRunnable("the base relocation directory lies outside the image")
    if size > MAX_RELOCATION_BYTES:
        raise NotRunnable(f"the base relocation directory is bigger than {MAX_RELOCATION_BYTES >> 20} MiB")
    for section in sections:
        at = start - section.virtual_address
        if at >= 0 and at + size <= min(section.virtual_size, section.raw_size):
            return data[section.raw_offset + at : section.raw_offset + at + size]
    raise NotRunnable("the base relocation directory lies outside the data of every section")


def _relocations(directory: bytes, size_of_image: int, machine: Machine) -> list[Relocation]:
    """Walk the blocks of a base relocation directory (PE/COFF 5.6.1).

    A block is a page's RVA, the block's own size, and two bytes for each place: kind in the upper 4 bits, offset below.
    """
    relocations: list[Relocation] = []
    kinds = _ARM_RELOCATIONS if machine is Machine.ARM else _RELOCATIONS
    at = 0
    while at < len(directory):
        if at + 8 > len(directory):
            raise NotRunnable("a base relocation block reaches beyond its directory")
        page, block = struct.unpack_from("<II", directory, at)
        if block < 8 or block % 2:
            raise NotRunnable(f"a base relocation block has the impossible size {block}")
        if at + block > len(directory):
            raise NotRunnable("a base relocation block reaches beyond its directory")
        for (entry,) in struct.iter_unpack("<H", directory[at + 8 : at + block]):
            if entry >> 12 == 0:  # ABSOLUTE: padding
                continue
            kind = kinds.get(entry >> 12) or _refuse_relocation(entry >> 12)
            rva = page + (entry & 0xFFF)
            if rva + kind.width > size_of_image:
                raise NotRunnable(f"a base relocation points outside the image ({rva:#x})")
            relocations.append(Relocation(rva, kind))
        at += block
    return relocations


def compatible_entries(data: bytes, image: PeImage) -> dict[Machine, int]:
    """Entry points for firmware of other machines, by the section ``.compat`` (EDK II, PE_COMPAT_TYPE1).

    Each of its nodes has a kind, its own size, a machine and an entry point; what is no such node ends them.
    """
    section = image.section(".compat")
    nodes = section_bytes(data, section) if section else b""
    found: dict[Machine, int] = {}
    at = 0
    while at + _COMPATIBLE.size <= len(nodes):
        kind, size, machine, entry = _COMPATIBLE.unpack_from(nodes, at)
        if kind != 1 or size < _COMPATIBLE.size:
            break
        if machine in _MACHINES and entry < image.size_of_image:
            found.setdefault(_MACHINES[machine][0], entry)
        at += size
    return found


def _refuse_relocation(number: int) -> NoReturn:
    name = _REFUSED_RELOCATIONS.get(number, "unknown")
    raise NotRunnable(f"base relocations of type {number} ({name}) are not supported")
