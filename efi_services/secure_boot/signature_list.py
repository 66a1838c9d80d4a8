"""Signature lists: what PK, KEK, db and dbx hold (UEFI 2.10, section 32.4.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from efi_services.types import Guid

if TYPE_CHECKING:
    from collections.abc import Iterable

CERT_X509 = Guid("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
CERT_SHA256 = Guid("c1c41626-504c-4092-aca9-41f936934328")
CERT_SHA384 = Guid("ff3e5307-9fd0-48c9-85f1-8ad56c701e01")
CERT_SHA512 = Guid("093e0fae-a6c4-4f50-9f1b-d41e2b89c19a")
CERT_X509_SHA256 = Guid("3bd2a492-96c0-4079-b420-fcf98ef103ed")
CERT_X509_SHA384 = Guid("7076876e-80c2-4ee6-aad2-28b349a6865b")
CERT_X509_SHA512 = Guid("446dbf63-2502-4cda-bcfa-2465d2b0fe9d")

#: The owner of what the firmware itself says.
NOBODY = Guid(int=0)
#: Digests of images, and of the part of a certificate that is signed: with which algorithm each is made.
IMAGE_DIGESTS = {CERT_SHA256: "sha256", CERT_SHA384: "sha384", CERT_SHA512: "sha512"}
CERTIFICATE_DIGESTS = {CERT_X509_SHA256: "sha256", CERT_X509_SHA384: "sha384", CERT_X509_SHA512: "sha512"}
#: What the firmware can use, as the variable SignatureSupport tells it (section 3.3).
SUPPORTED = (*IMAGE_DIGESTS, CERT_X509, *CERTIFICATE_DIGESTS)

#: Bytes of SignatureData by type; the type without a size is as long as its certificate. SHA-1, SHA-224, RSA-2048 and
#: what stands for keys that are managed elsewhere are of the specification too, and are held but not used.
_SIZES = {
    CERT_X509: None,
    CERT_SHA256: 32,
    CERT_SHA384: 48,
    CERT_SHA512: 64,
    # A digest, and the moment of revocation.
    CERT_X509_SHA256: 48,
    CERT_X509_SHA384: 64,
    CERT_X509_SHA512: 80,
    Guid("826ca512-cf10-4ac9-b187-be01496631bd"): 20,
    Guid("0b6e5233-a65c-44c9-9407-d9ab83bfc8bd"): 28,
    Guid("3c5766e8-269c-4e34-aa14-ed776e85b3b6"): 256,
    Guid("e2b36190-879b-4a3d-ad8d-f2e7bba32784"): 256,
    Guid("67f8444f-8743-48f1-a328-1eaab8736080"): 256,
    Guid("452e8ced-dfff-4b8c-ae01-5118862e682c"): 1,
}
_HEADER = struct.Struct("<16sIII")


@dataclass(frozen=True, slots=True)
class Signature:
    """One EFI_SIGNATURE_DATA, with the type of the list that it stands in."""

    type: Guid
    owner: Guid
    data: bytes

    @property
    def packed(self) -> bytes:
        """EFI_SIGNATURE_DATA: the owner, and the data."""
        return self.owner.bytes_le + self.data


def parse(data: bytes) -> tuple[Signature, ...]:
    """All signatures of a sequence of lists; raises ValueError with what is wrong."""
    found: list[Signature] = []
    at = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            raise ValueError("a signature list is cut off within its header")
        name, list_size, header_size, size = _HEADER.unpack_from(data, at)
        kind = Guid(bytes_le=name)
        if kind not in _SIZES:
            raise ValueError(f"a signature list is of the unknown type {kind}")
        wanted = _SIZES[kind]
        if header_size or size <= 16 or (wanted is not None and size != 16 + wanted):
            raise ValueError(f"signatures of {size} bytes behind a header of {header_size} are none of type {kind}")
        body = list_size - _HEADER.size
        if at + list_size > len(data) or body < size or body % size:
            raise ValueError(f"a signature list of {list_size} bytes is cut off, or holds no whole signatures")
        for start in range(at + _HEADER.size, at + list_size, size):
            owner = Guid(bytes_le=data[start : start + 16])
            found.append(Signature(kind, owner, data[start + 16 : start + size]))
        at += list_size
    return tuple(found)


def pack(signatures: Iterable[Signature]) -> bytes:
    """Signature lists: neighbours of one type and size share one, but for certificates."""
    lists = b""
    for (kind, size), alike in groupby(signatures, lambda each: (each.type, 16 + len(each.data))):
        together = [list(alike)]
        if kind == CERT_X509:
            together = [[each] for each in together[0]]
        for each in together:
            body = b"".join(signature.packed for signature in each)
            lists += _HEADER.pack(kind.bytes_le, _HEADER.size + len(body), 0, size) + body
    return lists


def appended(old: bytes, new: bytes) -> bytes:
    """*old* with the signatures of *new* that it lacks, as an append to a database has it (section 8.2.3)."""
    known = set(parse(old))
    return old + pack(each for each in parse(new) if each not in known)
