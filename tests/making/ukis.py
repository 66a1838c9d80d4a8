"""Unified kernel images, made of a stub and sections: in the form that ukify makes, and in hostile ones."""

from __future__ import annotations

import hashlib
import struct

#: What systemd-stub measures, in its order; `.pcrsig` is the only section that it uses and does not measure.
MEASURED = (
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey", ".profile",
    ".dtbauto", ".hwids",
)  # fmt: skip
READ_ONLY_DATA = 0x4000_0040


def extend(stub: bytes, sections, *, gap=0, patch=None) -> bytes:
    """*stub* with more sections: pairs of name and contents, in memory one behind the other.

    *patch* changes the fields of the headers of the new sections: a function of the section's number among them, and of
    the fields virtual size, address, raw size and raw offset.
    """
    file = bytearray(stub)
    pe = struct.unpack_from("<I", file, 0x3C)[0]
    count, optional = struct.unpack_from("<H", file, pe + 6)[0], struct.unpack_from("<H", file, pe + 20)[0]
    size_of_image, size_of_headers = struct.unpack_from("<II", file, pe + 24 + 56)
    alignment = max(struct.unpack_from("<I", file, pe + 24 + 32)[0], 0x1000)
    table = pe + 24 + optional + 40 * count
    assert table + 40 * len(sections) <= size_of_headers, "no room for more sections"
    address = _up(size_of_image, alignment)
    for number, (name, data) in enumerate(sections):
        file += bytes(-len(file) % 0x200)
        place = [len(data), address, _up(len(data), 0x200), len(file)]
        if patch is not None:
            place = patch(number, place)
        struct.pack_into("<8sIIIIIIHHI", file, table + 40 * number, name.encode(), *place, 0, 0, 0, 0, READ_ONLY_DATA)
        file += data.ljust(_up(len(data), 0x200), b"\0")
        address = _up(address + max(len(data), 1) + gap, alignment)
    struct.pack_into("<H", file, pe + 6, count + len(sections))
    struct.pack_into("<I", file, pe + 24 + 56, address)
    return bytes(file)


def as_kernel(program: bytes) -> bytes:
    """A program of ours with what a stub wants of a kernel: a version, no relocations, sections of whole pages."""
    file = bytearray(program)
    pe = struct.unpack_from("<I", file, 0x3C)[0]
    optional, table = pe + 24, pe + 24 + struct.unpack_from("<H", file, pe + 20)[0]
    struct.pack_into("<HH", file, optional + 44, 1, 0)
    struct.pack_into("<II", file, optional + 112 + 5 * 8, 0, 0)
    for at in range(table, table + 40 * struct.unpack_from("<H", file, pe + 6)[0], 40):
        virtual, _, raw = struct.unpack_from("<III", file, at + 8)
        struct.pack_into("<I", file, at + 8, _up(max(virtual, raw), 0x1000))
    return bytes(file)


def pcr11(sections: dict[str, bytes], algorithm: str) -> bytes:
    """What systemd-stub makes of PCR 11, by its documentation: names with their NUL and contents, in its order."""
    value = bytes(hashlib.new(algorithm).digest_size)
    for name in MEASURED:
        if name in sections:
            for measured in (name.encode() + b"\0", sections[name]):
                value = hashlib.new(algorithm, value + hashlib.new(algorithm, measured).digest()).digest()
    return value


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
