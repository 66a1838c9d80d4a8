"""Keys of now, and images that somebody has signed with them, or not: what Secure Boot decides on."""

from __future__ import annotations

import datetime
import hashlib
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from efi_services.secure_boot.signature_list import (
    CERT_SHA256,
    CERT_X509,
    CERT_X509_SHA256,
    NOBODY,
    Signature,
    pack,
)
from payloads.pe import authenticode, read_image

if TYPE_CHECKING:
    from pathlib import Path

#: Who is in db: the machine's owner, an authority, one who was revoked, and two whose certificates dbx has by digest.
TRUSTED = ("mine", "authority", "revoked", "digest", "later")
_NOW = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Case:
    """An image: what is done to a program, and what for."""

    what: str
    signers: tuple[str, ...] = ()
    flipped: bool = False
    listed: str = ""
    torn: int = 0
    text: bool = False


#: In the order of their names on the disk.
CASES = (
    Case("signed by a key in db", ("mine",)),
    Case("not signed"),
    Case("signed by a key in no list", ("stranger",)),
    Case("signed by a key whose issuer is in db", ("member",)),
    Case("signed by a key in db and in dbx", ("revoked",)),
    Case("signed by a key in db, and by one in dbx", ("mine", "revoked")),
    Case("signed by a key in no list, and by one in db", ("stranger", "mine")),
    Case("signed by a key whose certificate's digest is in dbx", ("digest",)),
    Case("signed by a key whose certificate dbx revokes from 2020 on, without a timestamp", ("later",)),
    Case("signed by a key in db, then changed", ("mine",), flipped=True),
    Case("signed by a key in db, its own digest in dbx", ("mine",), listed="dbx"),
    Case("not signed, its own digest in db", listed="db"),
    Case("not signed, its own digest in db and in dbx", listed="db dbx"),
    Case("signed by a key in no list, its own digest in db", ("stranger",), listed="db"),
    Case("signed by a key in db, its signature cut off", ("mine",), torn=1),
    Case("signed by a key in db, with rubbish for a signature", ("mine",), torn=2),
    Case("no image, but a line of text", text=True),
)


def make_keys(folder: Path) -> None:
    """Keys and certificates of everybody."""
    issuers = {"member": "authority"}
    for name in ("owner", *TRUSTED, "stranger", "member"):
        _make(folder, name, issuers.get(name, name))


def _make(folder: Path, name: str, issuer: str) -> None:
    key = rsa.generate_private_key(65537, 2048)
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing = key
    if issuer != name:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        signing = load_pem_private_key((folder / f"{issuer}.key").read_bytes(), None)  # type: ignore[assignment]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW)
        .not_valid_after(_NOW + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=name != "member", path_length=None), critical=True)
        .sign(signing, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))


def certificate(folder: Path, name: str) -> Signature:
    """Somebody's certificate, as a signature list has it."""
    loaded = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    return Signature(CERT_X509, NOBODY, loaded.public_bytes(Encoding.DER))


def sign(folder: Path, image: bytes, signers: tuple[str, ...]) -> bytes:
    """The image with a signature of each."""
    path = folder / "image"
    path.write_bytes(image)
    for name in signers:
        # The chain that is brought is the authority's, as signing tools have it.
        more = ["--addcert", "authority.pem"] if name == "member" else []
        words = ["sbsign", "--key", f"{name}.key", "--cert", f"{name}.pem", *more, "--output", "image", "image"]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return path.read_bytes()


def make_images(folder: Path, program: bytes) -> list[bytes]:
    """The images of all cases; each has contents of its own, so that a digest is of one."""
    made = []
    for number, case in enumerate(CASES):
        if case.text:
            made.append(b"This is no image.\n" * 100)
            continue
        image = bytearray(program)
        at = read_image(program).sections[0].raw_offset + read_image(program).sections[0].raw_size - 4
        struct.pack_into("<I", image, at, number)
        data = bytearray(sign(folder, bytes(image), case.signers))
        if case.flipped:
            data[at - 4] ^= 1
        if case.torn:
            table = _security(bytes(data))
            start, size = struct.unpack_from("<II", data, table)
            if case.torn == 1:
                struct.pack_into("<I", data, table + 4, size - 64 & ~7)
            else:
                data[start + 8 : start + size] = bytes(range(1, 256)) * (size // 255) + bytes(size % 255 - 8)
                del data[start + size :]
        made.append(bytes(data))
    return made


def _security(image: bytes) -> int:
    """Where a PE32+ file says where its certificates are."""
    pe: int = struct.unpack_from("<I", image, 0x3C)[0]
    return pe + 24 + 112 + 4 * 8


def databases(folder: Path, images: list[bytes]) -> dict[str, bytes]:
    """PK, KEK, db and dbx, as signature lists."""
    digests = {
        name: [
            Signature(CERT_SHA256, NOBODY, authenticode(image))
            for image, case in zip(images, CASES, strict=True)
            if name in case.listed.split()
        ]
        for name in ("db", "dbx")
    }
    owner = certificate(folder, "owner")
    revoked = [
        certificate(folder, "revoked"),
        _by_digest(folder, "digest", (0, 0, 0)),
        _by_digest(folder, "later", (2020, 1, 1)),
    ]
    return {
        "PK": pack([owner]),
        "KEK": pack([owner]),
        "db": pack([*(certificate(folder, name) for name in TRUSTED), *digests["db"]]),
        "dbx": pack([*revoked, *digests["dbx"]]),
    }


def _by_digest(folder: Path, name: str, since: tuple[int, int, int]) -> Signature:
    """EFI_CERT_X509_SHA256: the digest of what is signed of a certificate, and from when on it is revoked."""
    loaded = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    digest = hashlib.sha256(loaded.tbs_certificate_bytes).digest()
    return Signature(CERT_X509_SHA256, NOBODY, digest + struct.pack("<HBB12x", *since))
