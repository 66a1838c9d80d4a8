"""Linux's IMA measurement list: entries, what they come to in PCR 10, and the buffer that kexec hands over.

security/integrity/ima: ima_fs.c has the entries of binary_runtime_measurements, ima_template.c and ima_kexec.c the
buffer. Numbers are little-endian, as on all machines here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PCR = 10
_HEAD = struct.Struct("<I20sI")
_BUFFER = struct.Struct("<HHIQQ")
_VERSION = 1
#: IMA_TEMPLATE_NAME_MAX_LEN, and more than any template's data.
_MOST_NAME, _MOST_DATA = 15, 1 << 20
_MOST_BYTES, _MOST_ENTRIES = 64 << 20, 1 << 20
#: The oldest template has no length, and kexec does not hand it on.
_FIXED = "ima"


class ListError(ValueError):
    """What is wrong with a list, and at which offset."""

    def __init__(self, why: str, offset: int) -> None:
        super().__init__(f"offset {offset:#x}: {why}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: the template digest by SHA-1 as it is listed, the template's name, and its data."""

    digest: bytes
    template: str
    data: bytes

    @property
    def violated(self) -> bool:
        """Whether it stands for a file that was written while it was measured: such an entry has no digest."""
        return not any(self.digest)

    def extended(self, bank: Algorithm) -> bytes:
        """What PCR 10 is extended with in a bank: each has its own digest of the template's data."""
        if self.violated:
            return b"\xff" * bank.size
        return bank.digest(self.data)

    def encode(self) -> bytes:
        """As it is listed."""
        name = self.template.encode("ascii")
        return _HEAD.pack(PCR, self.digest, len(name)) + name + len(self.data).to_bytes(4, "little") + self.data


def boot_aggregate(bank: Algorithm, digest: bytes) -> Entry:
    """The first entry that a kernel adds: the digest of the PCRs that the boot was measured into."""
    hashed = bank.label.encode("ascii") + b":\0" + digest
    name = b"boot_aggregate\0"
    data = struct.pack("<I", len(hashed)) + hashed + struct.pack("<I", len(name)) + name
    return Entry(Algorithm.SHA1.digest(data), "ima-ng", data)


def digest_of(entry: Entry) -> tuple[str, bytes] | None:
    """The algorithm and the digest in an entry of ima-ng or ima-sig; None of other templates."""
    if entry.template not in ("ima-ng", "ima-sig"):
        return None
    size = int.from_bytes(entry.data[:4], "little")
    algorithm, colon, digest = entry.data[4 : 4 + size].partition(b":\0")
    return (algorithm.decode("ascii", "replace"), digest) if colon else None


def decode(data: bytes) -> list[Entry]:
    """A list, whole.

    Raises:
        ListError: it is cut off, or nothing that kexec hands on.
    """
    if len(data) > _MOST_BYTES:
        raise ListError(f"{len(data)} bytes; {_MOST_BYTES} are the most", 0)
    entries: list[Entry] = []
    at = 0
    while at < len(data):
        begin = at
        if len(data) - at < _HEAD.size or len(entries) >= _MOST_ENTRIES:
            raise ListError("an entry is cut off" if len(entries) < _MOST_ENTRIES else "too many entries", begin)
        pcr, digest, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if pcr != PCR or not 0 < size <= _MOST_NAME:
            raise ListError(f"an entry for PCR {pcr} with a name of {size} bytes", begin)
        name = data[at : at + size].decode("ascii", "replace")
        at += size
        if name == _FIXED or not name.isprintable():
            raise ListError(f"template {name!r}, which kexec does not hand on", begin)
        size = int.from_bytes(data[at : at + 4], "little")
        if len(data) - at < 4 or size > min(_MOST_DATA, len(data) - at - 4):
            raise ListError("its data are cut off", begin)
        entry = Entry(digest, name, data[at + 4 : at + 4 + size])
        if not entry.violated and digest != Algorithm.SHA1.digest(entry.data):
            raise ListError("the template digest is not that of its data", begin)
        entries.append(entry)
        at += 4 + size
    return entries


def extend(values: Mapping[Algorithm, bytes], entries: Iterable[Entry]) -> dict[Algorithm, bytes]:
    """What PCR 10 holds in each bank after these entries."""
    made = dict(values)
    for entry in entries:
        made = {bank: bank.extend(value, entry.extended(bank)) for bank, value in made.items()}
    return made


def pcr_10(entries: Iterable[Entry], banks: Iterable[Algorithm]) -> dict[Algorithm, bytes]:
    """What a whole list comes to."""
    return extend({each: bytes(each.size) for each in banks}, entries)


def buffer(entries: Sequence[Entry]) -> bytes:
    """The buffer that one kernel hands to the next (struct ima_kexec_hdr)."""
    listed = b"".join(each.encode() for each in entries)
    return _BUFFER.pack(_VERSION, 0, 0, _BUFFER.size + len(listed), len(entries)) + listed


def read_buffer(data: bytes) -> list[Entry]:
    """The list in a buffer; raises ListError."""
    if len(data) < _BUFFER.size:
        raise ListError("the buffer is cut off", 0)
    version, _, _, size, count = _BUFFER.unpack_from(data)
    if version != _VERSION or not _BUFFER.size <= size <= len(data):
        raise ListError(f"version {version} with {size} bytes", 0)
    entries = decode(data[_BUFFER.size : size])
    if len(entries) != count:
        raise ListError(f"it says that it has {count} entries, and has {len(entries)}", 0)
    return entries
