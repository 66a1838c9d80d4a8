"""What a payload is, once it has been read: plain frozen values, no parsing here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES = 512 << 20
"""No payload is bigger; the largest kernels are a tenth of it."""


class Machine(StrEnum):
    """The processor a payload is made for."""

    X86_64 = "x86_64"
    I386 = "i386"
    AARCH64 = "aarch64"
    ARM = "arm"
    RISCV64 = "riscv64"
    LOONGARCH64 = "loongarch64"


class Kind(StrEnum):
    """What sort of program a payload is."""

    LINUX_BZIMAGE = "linux-bzimage"
    LINUX_ARM64_IMAGE = "linux-arm64-image"
    LINUX_RISCV_IMAGE = "linux-riscv-image"
    LINUX_ZBOOT = "linux-zboot"
    LINUX_ARM32_ZIMAGE = "linux-arm32-zimage"
    UKI = "uki"
    EFI_APPLICATION = "efi-application"
    EFI_DRIVER = "efi-driver"


class RelocationKind(IntEnum):
    """IMAGE_REL_BASED_* as far as UEFI images on our machines use them (PE/COFF 5.6.2)."""

    HIGHLOW = 3
    #: On Arm: the address in two instructions of T32, MOVW and MOVT.
    THUMB_MOV32 = 7
    DIR64 = 10

    @property
    def width(self) -> int:
        """Bytes that the relocation rewrites."""
        return 4 if self is RelocationKind.HIGHLOW else 8


@dataclass(frozen=True, slots=True)
class Section:
    """One section: where it lies in memory (from the image base) and in the file, in bytes.

    ``virtual_size`` is never zero when there is raw data: a header that says 0 means "as much as the file holds".
    The loader copies ``min(virtual_size, raw_size)`` bytes and leaves the rest zero. ``number`` is its place in the
    section table, which need not be in the order of the addresses.
    """

    name: str
    virtual_address: int
    virtual_size: int
    raw_offset: int
    raw_size: int
    readable: bool
    writable: bool
    executable: bool
    discardable: bool
    number: int = 0


@dataclass(frozen=True, slots=True)
class Relocation:
    """One place that moves with the image; ``rva`` counts from the image base."""

    rva: int
    kind: RelocationKind


@dataclass(frozen=True, slots=True)
class PeImage:
    """The headers of a PE/COFF image that has been found fit to load.

    Sections are in ascending order of address, inside ``size_of_image``, clear of each other and of the headers.
    """

    machine: Machine
    subsystem: int
    entry_point: int
    image_base: int
    size_of_image: int
    size_of_headers: int
    section_alignment: int
    image_version: tuple[int, int]
    nx_compat: bool
    sections: tuple[Section, ...]
    relocations: tuple[Relocation, ...] = field(repr=False)
    relocations_stripped: bool

    def section(self, name: str) -> Section | None:
        """The first section of that name, or None."""
        return next((section for section in self.sections if section.name == name), None)


@dataclass(frozen=True, slots=True)
class BzImageHeader:
    """The x86 setup header (Documentation/arch/x86/boot.rst), as far as an EFI boot depends on it."""

    protocol: str
    version: str | None
    xloadflags: int
    xloadflag_names: tuple[str, ...]
    handover_offset: int | None
    setup_sects: int
    payload_offset: int
    payload_length: int
    compression: str | None
    init_size: int
    pref_address: int
    relocatable: bool
    kernel_alignment: int


@dataclass(frozen=True, slots=True)
class Arm64ImageHeader:
    """The 64 bytes at the start of an arm64 Image (Documentation/arch/arm64/booting.rst)."""

    text_offset: int
    image_size: int
    flags: int
    flag_names: tuple[str, ...]
    declared_kernel_entry: int | None

    @property
    def page_size(self) -> int | None:
        """Of the pages that the kernel works with, in bytes; None where the header doesn't tell."""
        kind = self.flags >> 1 & 3
        return 1024 << 2 * kind if kind else None


@dataclass(frozen=True, slots=True)
class RiscvImageHeader:
    """The 64 bytes at the start of a RISC-V Image (Documentation/arch/riscv/boot-image-header.rst)."""

    text_offset: int
    image_size: int
    flags: int
    flag_names: tuple[str, ...]
    header_version: str
    declared_kernel_entry: int | None


@dataclass(frozen=True, slots=True)
class ZbootHeader:
    """The header of a self-decompressing EFI image (drivers/firmware/efi/libstub/zboot-header.S)."""

    payload_offset: int
    payload_size: int
    compression: str


@dataclass(frozen=True, slots=True)
class Arm32ZImageHeader:
    """The header of a 32-bit Arm zImage (arch/arm/boot/compressed/head.S)."""

    start: int
    end: int
    little_endian: bool


LinuxHeader: TypeAlias = BzImageHeader | Arm64ImageHeader | RiscvImageHeader | ZbootHeader | Arm32ZImageHeader


@dataclass(frozen=True, slots=True)
class Payload:
    """A program that can be run: its bytes, and everything that was read from its headers."""

    name: str
    path: Path | None
    data: bytes = field(repr=False)
    sha256: str
    kind: Kind
    machine: Machine
    version: str | None
    image: PeImage
    linux: LinuxHeader | None

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        return len(self.data)

    @property
    def declared_kernel_entry(self) -> int | None:
        """RVA of the kernel's own entry, for kernels that run where they were loaded; None for all others.

        A plain arm64 or riscv Image starts with a branch to it; all others are unpacked or moved elsewhere first.
        """
        if isinstance(self.linux, Arm64ImageHeader | RiscvImageHeader):
            return self.linux.declared_kernel_entry
        return None
