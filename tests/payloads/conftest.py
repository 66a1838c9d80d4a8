"""A small PE writer, so that every header field can be made to lie."""

from __future__ import annotations

import datetime
import struct
from dataclasses import dataclass, field

import pytest

HEADERS = 0x400
PE_AT = 0x80
OPTIONAL_AT = PE_AT + 24
READ_EXECUTE = 0x6000_0020
READ_WRITE = 0xC000_0040
READ_DISCARD = 0x4200_0040

MACHINES = {"x86_64": 0x8664, "i386": 0x14C, "aarch64": 0xAA64, "arm": 0x1C2, "riscv64": 0x5064, "loongarch64": 0x6264}
PE32 = {0x14C, 0x1C2}


@dataclass
class Part:
    """A section to be written; it gets its place from its position unless it says otherwise."""

    name: bytes
    data: bytes = b"\x90" * 0x200
    flags: int = READ_EXECUTE
    address: int | None = None
    virtual_size: int | None = None
    raw_offset: int | None = None
    raw_size: int | None = None


@dataclass
class Pe:
    """Header fields of an image; ``build`` gives the file."""

    machine: int = 0x8664
    magic: int | None = None
    subsystem: int = 10
    parts: list[Part] = field(default_factory=lambda: [Part(b".text"), Part(b".data", flags=READ_WRITE)])
    entry: int = 0x1010
    image_base: int = 0
    section_alignment: int = 0x1000
    size_of_image: int | None = None
    size_of_headers: int = HEADERS
    characteristics: int = 0x0206
    dll_characteristics: int = 0x0100
    image_version: tuple[int, int] = (3, 0)
    directories: dict[int, tuple[int, int]] = field(default_factory=dict)
    number_of_directories: int = 16
    number_of_sections: int | None = None
    optional_size: int | None = None
    header_patches: dict[int, bytes] = field(default_factory=dict)
    overlay: bytes = b""

    def with_relocations(self, blocks: bytes) -> Pe:
        address = 0x1000 * (len(self.parts) + 1)
        self.parts.append(Part(b".reloc", blocks.ljust(0x200, b"\0"), READ_DISCARD, virtual_size=len(blocks)))
        self.directories[5] = (address, len(blocks))
        return self

    def build(self) -> bytes:
        magic = self.magic or (0x10B if self.machine in PE32 else 0x20B)
        plus = magic == 0x20B
        addresses, size, table, body = [], 0x1000, b"", b""
        for part in self.parts:
            address = size if part.address is None else part.address
            virtual = len(part.data) if part.virtual_size is None else part.virtual_size
            addresses.append(address)
            table += struct.pack(
                "<8sIIIIIIHHI",
                part.name,
                virtual,
                address,
                len(part.data) if part.raw_size is None else part.raw_size,
                HEADERS + len(body) if part.raw_offset is None else part.raw_offset,
                0,
                0,
                0,
                0,
                part.flags,
            )
            body += part.data
            size = max(size, (address + max(virtual, len(part.data)) + 0xFFF) & ~0xFFF)
        size_of_image = size if self.size_of_image is None else self.size_of_image
        optional = struct.pack("<HBBIIIII", magic, 2, 2, 0x200, 0x200, 0, self.entry, 0x1000)
        optional += struct.pack("<Q", self.image_base) if plus else struct.pack("<II", 0, self.image_base)
        optional += struct.pack("<IIHHHHHHI", self.section_alignment, 0x200, 0, 0, *self.image_version, 0, 0, 0)
        optional += struct.pack(
            "<IIIHH", size_of_image, self.size_of_headers, 0, self.subsystem, self.dll_characteristics
        )
        optional += bytes(32 if plus else 16) + struct.pack("<II", 0, self.number_of_directories)
        for index in range(16):
            optional += struct.pack("<II", *self.directories.get(index, (0, 0)))
        count = len(self.parts) if self.number_of_sections is None else self.number_of_sections
        optional_size = len(optional) if self.optional_size is None else self.optional_size
        coff = struct.pack("<HHIIIHH", self.machine, count, 0, 0, 0, optional_size, self.characteristics)
        head = bytearray(HEADERS)
        head[0:2] = b"MZ"
        head[0x3C:0x40] = PE_AT.to_bytes(4, "little")
        image = b"PE\0\0" + coff + optional + table
        if PE_AT + len(image) > HEADERS:
            head = head.ljust(PE_AT + len(image), b"\0")
        head[PE_AT : PE_AT + len(image)] = image
        for at, patch in self.header_patches.items():
            head[at : at + len(patch)] = patch
        return bytes(head) + body + self.overlay


def relocation_block(page: int, *entries: tuple[int, int]) -> bytes:
    body = b"".join(struct.pack("<H", kind << 12 | offset) for kind, offset in entries)
    return struct.pack("<II", page, 8 + len(body)) + body


def bzimage(version: bytes = b"6.12.1-test (someone@example) #1", machine: int = 0x8664) -> Pe:
    """An x86 kernel with the setup header of boot protocol 2.15, set up so that its payload is the first section."""
    setup = bytearray(0x268 - 0x1F1)

    def put(at: int, value: bytes) -> None:
        setup[at - 0x1F1 : at - 0x1F1 + len(value)] = value

    put(0x1F1, b"\x01")
    put(0x1FE, b"\x55\xaa")
    put(0x200, b"\xeb\x66HdrS\x0f\x02")
    put(0x20E, struct.pack("<H", 0x100))
    put(0x230, struct.pack("<I", 0x200000))
    put(0x234, b"\x01")
    put(0x236, struct.pack("<H", 0x7F))
    put(0x248, struct.pack("<II", 0, 0x200))
    put(0x258, struct.pack("<QI", 0x100_0000, 0x300_0000))
    put(0x264, struct.pack("<I", 0x10))
    pe = Pe(machine=machine, parts=[Part(b".text", b"\x28\xb5\x2f\xfd" + bytes(0x1FC))])
    pe.header_patches = {0x1F1: bytes(setup), 0x300: version + b"\0"}
    return pe


def arm64_image(code1: int = 0x1400_0400, banner: bytes = b"Linux version 6.12.1-arm64 (someone) #1") -> Pe:
    header = b"MZ\x40\xfa" + struct.pack("<IQQQ", code1, 0, 0x3000, 0xA) + bytes(0x18) + b"ARM\x64"
    return Pe(
        machine=0xAA64,
        parts=[Part(b".text", banner.ljust(0x200, b"\0")), Part(b".data", flags=READ_WRITE)],
        header_patches={0: header},
    )


def riscv_image(jump: bytes = struct.pack("<I", 0x0FE0_106F)) -> Pe:
    header = b"MZ" + jump[:6].ljust(6, b"\0") + struct.pack("<QQQII", 0x200000, 0x3000, 0, 2, 0) + bytes(8)
    header += b"RISCV\0\0\0RSC\x05"
    return Pe(
        machine=0x5064,
        parts=[Part(b".text", b"Linux version 6.12.1-riscv (someone) #1".ljust(0x200, b"\0"))],
        header_patches={0: header},
    )


def zboot_image(machine: int = 0x6264, name: bytes = b"zstd", begins: bytes = b"\x28\xb5\x2f\xfd") -> Pe:
    header = b"MZ\0\0zimg" + struct.pack("<II", HEADERS, 0x200) + bytes(8) + name.ljust(0x20, b"\0")
    parts = [Part(b".text", begins.ljust(0x200, b"\0")), Part(b".data", flags=READ_WRITE)]
    return Pe(machine=machine, parts=parts, header_patches={0: header})


def zimage() -> Pe:
    return Pe(machine=0x1C2, header_patches={0x24: struct.pack("<IIII", 0x016F2818, 0, 0x1000, 0x04030201)[:0x10]})


def uki() -> Pe:
    return Pe(
        parts=[
            Part(b".text"),
            Part(b".osrel", b'NAME="Test"\n', 0x4000_0040),
            Part(b".cmdline", b"console=ttyS0 quiet", 0x4000_0040),
            Part(b".uname", b"6.12.1-uki", 0x4000_0040),
            Part(b".sbat", b"sbat,1,SBAT Version,sbat,1,https://example.org\nlinux,1,Test\nlonely\n", 0x4000_0040),
            Part(b".linux", b"\0" * 0x200, 0x4000_0040),
        ]
    )


def der(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    length = bytes([len(body)]) if len(body) < 0x80 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes([tag]) + length + body


def signed(image: bytes, digest: bytes) -> bytes:
    """Append an Authenticode signature with a throw-away certificate (the RSA signature in it is a dummy)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test Signer")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 0x1234, start, start + datetime.timedelta(days=9000))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    sha256 = der(0x30, bytes.fromhex("0609608648016503040201"), der(0x05))
    spc_pe_image = der(
        0x30, bytes.fromhex("060a2b06010401823702010f"), der(0x30, der(0x03, b"\0"), der(0xA0, der(0xA2, der(0x80))))
    )
    spc = der(0x30, spc_pe_image, der(0x30, sha256, der(0x04, digest)))
    content = der(0x30, bytes.fromhex("060a2b060104018237020104"), der(0xA0, spc))
    issuer_and_serial = der(0x30, name.public_bytes(), der(0x02, b"\x12\x34"))
    rsa = der(0x30, bytes.fromhex("06092a864886f70d010101"), der(0x05))
    attribute = der(0x30, bytes.fromhex("06092a864886f70d010903"), der(0x31, bytes.fromhex("060a2b060104018237020104")))
    message = der(0x30, bytes.fromhex("06092a864886f70d010904"), der(0x31, der(0x04, bytes(32))))
    attributes = der(0xA0, attribute, message)
    signer = der(0x30, der(0x02, b"\1"), issuer_and_serial, sha256, attributes, rsa, der(0x04, bytes(256)))
    signed_data = der(0x30, der(0x02, b"\1"), der(0x31, sha256), content, der(0xA0, certificate), der(0x31, signer))
    pkcs7 = der(0x30, bytes.fromhex("06092a864886f70d010702"), der(0xA0, signed_data))
    entry = struct.pack("<IHH", 8 + len(pkcs7), 0x0200, 0x0002) + pkcs7
    entry = entry.ljust((len(entry) + 7) & ~7, b"\0")
    directory = OPTIONAL_AT + 112 + 8 * 4
    return image[:directory] + struct.pack("<II", len(image), len(entry)) + image[directory + 8 :] + entry


class Builder:
    """What the tests of this folder use; in one fixture, because test modules can't import one another."""

    Pe, Part = Pe, Part
    relocation_block = staticmethod(relocation_block)
    bzimage = staticmethod(bzimage)
    arm64_image = staticmethod(arm64_image)
    riscv_image = staticmethod(riscv_image)
    zboot_image = staticmethod(zboot_image)
    zimage = staticmethod(zimage)
    uki = staticmethod(uki)
    signed = staticmethod(signed)
    MACHINES = MACHINES


@pytest.fixture(scope="session")
def build() -> type[Builder]:
    return Builder
