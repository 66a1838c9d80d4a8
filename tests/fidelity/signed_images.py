"""Keys of now, and images that somebody has signed with them, or not: what Secure Boot decides on."""

from __future__ import annotations

import datetime
import hashlib
import struct
import subprocess
import sys
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
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

#: Who is in db: the machine's owner, an authority, one who was revoked, and three whose
#: certificates dbx has by digest, two of them from some time on.
TRUSTED = ("mine", "authority", "revoked", "digest", "later", "future")
#: What the unit tests sign with.
_UNIT_TESTS = Path(__file__).parents[1] / "efi_services" / "secure_boot"
_NOW = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


def _borrowed(name: str) -> Any:
    spec = util.spec_from_file_location(f"borrowed_{name}", _UNIT_TESTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# What the tests have in their path.
sys.path.append(str(_UNIT_TESTS.parents[1] / "making"))
_SIGNING, _STAMPING = _borrowed("conftest"), _borrowed("test_timestamp")


@dataclass(frozen=True)
class Case:
    """An image: what is done to a program, and what for."""

    what: str
    signers: tuple[str, ...] = ()
    flipped: bool = False
    listed: str = ""
    torn: int = 0
    text: bool = False
    #: Who says that there was the signature by now.
    seen_by: str = ""


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
    Case("signed by a key whose certificate dbx revokes from 2020 on, with a timestamp", ("later",), seen_by="known"),
    Case("signed by a key whose certificate dbx revokes from 2100 on, without a timestamp", ("future",)),
    Case("signed by a key whose certificate dbx revokes from 2100 on, with a timestamp", ("future",), seen_by="known"),
    Case("the same, the timestamp by somebody who is not in dbt", ("future",), seen_by="other"),
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
        signed = _stamped(folder, bytes(image), case) if case.seen_by else sign(folder, bytes(image), case.signers)
        data = bytearray(signed)
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


def _stamped(folder: Path, image: bytes, case: Case) -> bytes:
    """The image with a signature that bears a timestamp."""
    (name,) = case.signers
    loaded = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    signer = _SIGNING.Signer(loaded, load_pem_private_key((folder / f"{name}.key").read_bytes(), None))
    authority = _STAMPING.Seen(folder / f"tsa-{case.seen_by}")

    def added(value: bytes) -> bytes:
        token = authority.token(value)
        return bytes(_SIGNING.der(0x30, _STAMPING.OID, _SIGNING.der(0x31, token)))

    padded = image + bytes(-len(image) % 8)
    signature = _SIGNING.sign_image(authenticode(padded), signer, added=added)
    # WIN_CERTIFICATE (UEFI 2.10, section 32.2.4): its length, revision 2.0, PKCS #7.
    table = struct.pack("<IHH", 8 + len(signature), 0x0200, 2) + signature
    table += bytes(-len(table) % 8)
    made = bytearray(padded + table)
    struct.pack_into("<II", made, _security(padded), len(padded), len(table))
    return bytes(made)


def _security(image: bytes) -> int:
    """Where a PE32+ file says where its certificates are."""
    pe: int = struct.unpack_from("<I", image, 0x3C)[0]
    return pe + 24 + 112 + 4 * 8


def databases(folder: Path, images: list[bytes]) -> dict[str, bytes]:
    """PK, KEK and the databases, as signature lists."""
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
        _by_digest(folder, "future", (2100, 1, 1)),
    ]
    return {
        "PK": pack([owner]),
        "KEK": pack([owner]),
        "db": pack([*(certificate(folder, name) for name in TRUSTED), *digests["db"]]),
        "dbx": pack([*revoked, *digests["dbx"]]),
        "dbt": pack([certificate(folder / "tsa-known", "root")]),
    }


def _by_digest(folder: Path, name: str, since: tuple[int, int, int]) -> Signature:
    """EFI_CERT_X509_SHA256: the digest of what is signed of a certificate, and from when on it is revoked."""
    loaded = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
    digest = hashlib.sha256(loaded.tbs_certificate_bytes).digest()
    return Signature(CERT_X509_SHA256, NOBODY, digest + struct.pack("<HBB12x", *since))
