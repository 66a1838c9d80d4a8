"""Keys that are made for the tests, and signatures by them.

Signatures of data are cryptography's own; those of images are put together here, since no library makes them.
"""

import datetime
import hashlib
import struct
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from efi_services.secure_boot import signature_list
from efi_services.types import Guid

OWNER = Guid(int=0x77)
PKCS7 = Guid("4aafd29d-68df-49ee-8aa9-347d375665a7").bytes_le
LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
HASHES = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
OIDS = {
    "sha1": "06052b0e03021a", "sha256": "0609608648016503040201", "sha384": "0609608648016503040202",
    "sha512": "0609608648016503040203",
}  # fmt: skip


def der(tag, *parts):
    """A DER element."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 + len(digits)]) + digits + body


@dataclass(frozen=True)
class Signer:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: object

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def signature(self):
        return signature_list.Signature(signature_list.CERT_X509, OWNER, self.der)

    @property
    def listed(self):
        """A signature list with the certificate alone."""
        return signature_list.pack([self.signature])

    def tbs_digest(self, algorithm="sha256"):
        return hashlib.new(algorithm, self.certificate.tbs_certificate_bytes).digest()


def make(name, issuer=None, *, authority=True, kind="ec", path_length=None, usage=None):
    """A certificate by *issuer*, or by itself."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Long over: firmware has no clock that it could trust.
        .not_valid_before(LONG_AGO)
        .not_valid_after(LONG_AGO + datetime.timedelta(days=1))
    )
    if authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(authority, path_length), critical=True)
    if usage is not None:
        flags = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign",
             "encipher_only", "decipher_only"), False
        )  # fmt: skip
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=usage, **flags), critical=True
        )
    return Signer(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def sign_data(data, signer, others=(), algorithm="sha256", *, bare=True):
    """PKCS #7 over data that lies elsewhere; without its ContentInfo where *bare*."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(data)
    builder = builder.add_signer(signer.certificate, signer.key, HASHES[algorithm])
    for each in others:
        builder = builder.add_certificate(each.certificate)
    options = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.NoAttributes]
    made = builder.sign(serialization.Encoding.DER, options)
    return made[made.index(b"\x02\x01\x01") - 4 :] if bare else made


def sign_image(digest, signer, others=(), algorithm="sha256", **changes):
    """Authenticode's SignedData over the digest of an image."""
    identifier = der(0x30, bytes.fromhex(OIDS[algorithm]), b"\5\0")
    attribute = der(
        0x30, bytes.fromhex("060a2b06010401823702010f"), der(0x30, b"\3\1\0", der(0xA0, der(0xA2, b"\x80\0")))
    )
    content = changes.get("content", attribute + der(0x30, identifier, der(4, digest)))
    message = changes.get("message_digest", hashlib.new(algorithm, content).digest())
    spc = bytes.fromhex(changes.get("attribute_type", "060a2b060104018237020104"))
    attributes = changes.get(
        "attributes",
        der(0x30, bytes.fromhex("06092a864886f70d010903"), der(0x31, spc))
        + der(0x30, bytes.fromhex("06092a864886f70d010904"), der(0x31, der(4, message))),
    )
    signed = der(0x31, attributes) if attributes else content
    if isinstance(signer.key, rsa.RSAPrivateKey):
        value = signer.key.sign(signed, padding.PKCS1v15(), HASHES[algorithm])
        encryption = der(0x30, bytes.fromhex("06092a864886f70d010101"), b"\5\0")
    else:
        value = signer.key.sign(signed, ec.ECDSA(HASHES[algorithm]))
        encryption = der(0x30, bytes.fromhex("06082a8648ce3d040302"))
    # What is added to a signature once it is there.
    added = changes["added"](value) if "added" in changes else b""
    number = signer.certificate.serial_number
    serial = der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))
    info = der(
        0x30, b"\2\1\1", der(0x30, signer.certificate.issuer.public_bytes(), serial), identifier,
        der(0xA0, attributes) if attributes else b"", encryption, der(4, value),
        der(0xA1, added) if added else b"",
    )  # fmt: skip
    certificates = b"".join(each.der for each in changes.get("certificates", (signer, *others)))
    indirect = der(0x30, bytes.fromhex("060a2b060104018237020104"), der(0xA0, der(0x30, content)))
    whole = der(
        0x30, b"\2\1\1", der(0x31, identifier), indirect, der(0xA0, certificates) if certificates else b"",
        der(0x31, info * changes.get("signers", 1)),
    )  # fmt: skip
    return der(0x30, bytes.fromhex("06092a864886f70d010702"), der(0xA0, whole))


def time(*moment):
    """EFI_TIME."""
    return struct.pack("<HBBBBBxIhBx", *moment, *[0] * (6 - len(moment)), 0, 0, 0)


def descriptor(moment, signature, guid=PKCS7, kind=0x0EF1, revision=0x0200):
    """EFI_VARIABLE_AUTHENTICATION_2."""
    return time(*moment) + struct.pack("<IHH", 24 + len(signature), revision, kind) + guid + signature


def sign_variable(variable, attributes, value, signer, moment=(2020, 1, 1), **options):
    """What SetVariable gets for an authenticated variable."""
    name, vendor = variable
    told = name.encode("utf-16-le") + vendor.bytes_le + struct.pack("<I", attributes) + time(*moment) + value
    return descriptor(moment, sign_data(told, signer, **options)) + value


@pytest.fixture(scope="session")
def signing():
    """The functions above."""
    return SimpleNamespace(
        make=make, sign_data=sign_data, sign_image=sign_image, sign_variable=sign_variable, descriptor=descriptor,
        owner=OWNER, der=der, time=time,
    )  # fmt: skip


@pytest.fixture(scope="session")
def people():
    """A root, an authority under it, and whom that vouches for; and somebody of whom nobody has heard."""
    root = make("Root", kind="rsa")
    authority = make("Authority", root)
    return SimpleNamespace(
        root=root,
        authority=authority,
        signer=make("Signer", authority, authority=False),
        other=make("Other", authority, authority=False, kind="rsa"),
        stranger=make("Stranger", kind="rsa"),
    )
