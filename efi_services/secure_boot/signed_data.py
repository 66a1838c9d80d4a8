"""PKCS #7 SignedData (RFC 2315, section 9): what signs images and authenticated variables.

Only DER is read, as the specifications ask for it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from efi_services.secure_boot import chain

DATA = "1.2.840.113549.1.7.1"
SPC_INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
MAX_SIGNERS = 8


@asn1.sequence
class _AlgorithmIdentifier:
    algorithm: x509.ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _ContentInfo:
    content_type: x509.ObjectIdentifier
    content: Annotated[asn1.TLV, asn1.Explicit(0)]


@asn1.sequence
class _NoContent:
    content_type: x509.ObjectIdentifier


@asn1.sequence
class _IssuerAndSerialNumber:
    issuer: asn1.TLV
    serial_number: int


@asn1.sequence
class Attribute:
    """An attribute of a signer: what it is, and its values."""

    type: x509.ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class _SignerInfo:
    version: int
    signer: _IssuerAndSerialNumber
    digest_algorithm: _AlgorithmIdentifier
    authenticated: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    encryption_algorithm: _AlgorithmIdentifier
    encrypted_digest: bytes
    unauthenticated: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]


@asn1.sequence
class _SignedData:
    version: int
    digest_algorithms: asn1.SetOf[_AlgorithmIdentifier]
    content_info: asn1.TLV
    # Sets, whose order many signers don't care for.
    certificates: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    revocations: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]
    signers: asn1.SetOf[_SignerInfo]


@asn1.sequence
class DigestInfo:
    """A digest, and how it was made."""

    algorithm: _AlgorithmIdentifier
    digest: bytes


@asn1.sequence
class _SpcIndirectData:
    data: asn1.TLV
    digest: DigestInfo


@dataclass(frozen=True)
class SignedData:
    """A decoded signature: what it signs, the certificates that it brings, and who signed."""

    content_type: str
    #: The content's bytes without its tag and length, which is what is hashed; None where it lies elsewhere.
    content: bytes | None
    certificates: tuple[x509.Certificate, ...]
    _signers: tuple[_SignerInfo, ...]

    @classmethod
    def decode(cls, data: bytes) -> SignedData:
        """Read a SignedData, with a ContentInfo around it or without; raises ValueError where it is none.

        Up to seven bytes of padding may follow.
        """
        der = _without_padding(data)
        try:
            try:
                outer = asn1.decode_der(_ContentInfo, der)
            except ValueError:
                whole = asn1.decode_der(_SignedData, der)
            else:
                if outer.content_type.dotted_string != _SIGNED_DATA:
                    raise ValueError("its content is no SignedData")
                whole = outer.content.parse(_SignedData)
            content_type, content = _content(whole.content_info)
        except ValueError as why:
            raise ValueError(f"no PKCS #7 SignedData: {why}") from None
        signers = tuple(whole.signers.as_list())
        if not 0 < len(signers) <= MAX_SIGNERS:
            raise ValueError(f"a SignedData with {len(signers)} signers")
        brought = whole.certificates or []
        if len(brought) > chain.MAX_CERTIFICATES:
            raise ValueError(f"a SignedData with {len(brought)} certificates")
        return cls(content_type, content, tuple(_certificates(brought)), signers)

    @classmethod
    def of_element(cls, element: asn1.TLV) -> SignedData:
        """Read one that stands in something else; raises ValueError."""
        return cls.decode(_whole(element))

    @property
    def unauthenticated(self) -> tuple[tuple[bytes, tuple[Attribute, ...]], ...]:
        """For each signer the signature's own bytes, and what was added to it later; raises ValueError."""
        return tuple(
            (each.encrypted_digest, tuple(one.parse(Attribute) for one in each.unauthenticated or ()))
            for each in self._signers
        )

    @property
    def digest_algorithms(self) -> tuple[str, ...]:
        """Which algorithm each signer hashed with, as hashlib calls it; raises ValueError for unknown ones."""
        return tuple(hash_of(each.digest_algorithm).name for each in self._signers)

    @cached_property
    def image_digest(self) -> tuple[str, bytes]:
        """For Authenticode: the algorithm and the digest of the image that was signed; raises ValueError."""
        if self.content_type != SPC_INDIRECT_DATA or self.content is None:
            raise ValueError("it doesn't sign an image")
        try:
            told = asn1.decode_der(_SpcIndirectData, _tagged(0x30, self.content)).digest
        except ValueError as why:
            raise ValueError(f"it doesn't sign an image: {why}") from None
        return hash_of(told.algorithm).name, told.digest

    def verified(self, content: bytes | None = None) -> tuple[dict[x509.Certificate, int], ...]:
        """Check all signatures over *content*, or over what the SignedData holds itself.

        Returns:
            For each signer: its certificate, and what this leads to among those that were brought (`issuers`).

        Raises:
            ValueError: a signature is wrong, in words.
        """
        signed = self.content if content is None else content
        if signed is None:
            raise ValueError("the signature has nothing to sign")
        return tuple(self._verify(each, signed) for each in self._signers)

    def _verify(self, signer: _SignerInfo, content: bytes) -> dict[x509.Certificate, int]:
        wanted = _tagged(0x30, bytes(signer.signer.issuer.data)), signer.signer.serial_number
        for certificate in self.certificates:
            if (certificate.issuer.public_bytes(), certificate.serial_number) == wanted:
                break
        else:
            raise ValueError("the signer's certificate is missing")
        algorithm = hash_of(signer.digest_algorithm)
        signed = content
        if signer.authenticated is not None:
            signed = _attributes(signer.authenticated, self.content_type, hashlib.new(algorithm.name, content).digest())
        key = certificate.public_key()
        try:
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signer.encrypted_digest, signed, padding.PKCS1v15(), algorithm)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signer.encrypted_digest, signed, ec.ECDSA(algorithm))
            else:
                raise UnsupportedAlgorithm("the signer's key is of a kind that firmware doesn't know")
        except (InvalidSignature, UnsupportedAlgorithm):
            raise ValueError("the signature is wrong") from None
        return chain.issuers(certificate, self.certificates)


def _content(info: asn1.TLV) -> tuple[str, bytes | None]:
    try:
        filled = info.parse(_ContentInfo)
    except ValueError:
        return info.parse(_NoContent).content_type.dotted_string, None
    return filled.content_type.dotted_string, bytes(filled.content.data)


def _certificates(brought: list[asn1.TLV]) -> list[x509.Certificate]:
    """Those that can be read; the signer's may be there all the same."""
    found = []
    for each in brought:
        try:
            found.append(chain.load(_whole(each)))
        except ValueError:
            continue
    return found


def _attributes(attributes: list[asn1.TLV], content_type: str, digest: bytes) -> bytes:
    """What was signed instead of the content: attributes that name its type and digest; raises ValueError."""
    found: dict[str, list[asn1.TLV]] = {}
    for each in attributes:
        attribute = each.parse(Attribute)
        found[attribute.type.dotted_string] = attribute.values.as_list()
    try:
        (kind,), (told,) = found[_CONTENT_TYPE], found[_MESSAGE_DIGEST]
    except (KeyError, ValueError):
        raise ValueError("the signature doesn't say what it signs") from None
    if kind.parse(x509.ObjectIdentifier).dotted_string != content_type:
        raise ValueError("the signature is of another type of content")
    if told.parse(bytes) != digest:
        raise ValueError("the signature is of other content")
    return _tagged(0x31, b"".join(_tagged(0x30, bytes(each.data)) for each in attributes))


def hash_of(identifier: _AlgorithmIdentifier) -> hashes.HashAlgorithm:
    """The digest algorithm; raises ValueError for one that isn't used."""
    try:
        return _HASHES[identifier.algorithm.dotted_string]
    except KeyError:
        name = identifier.algorithm.dotted_string
        raise ValueError(f"the digest algorithm {name} is none of SHA-256, SHA-384 and SHA-512") from None


def _without_padding(data: bytes) -> bytes:
    """The DER element at the start of *data*; raises ValueError where it is longer, or too much follows."""
    if len(data) < 2 or data[0] != 0x30:
        raise ValueError("no PKCS #7 SignedData")
    count = data[1] - 0x80
    size = data[1] + 2
    if count > 0:
        size = int.from_bytes(data[2 : 2 + count], "big") + 2 + count
    if not len(data) - 8 < size <= len(data):
        raise ValueError(f"no PKCS #7 SignedData: an element of {size} bytes in {len(data)}")
    return data[:size]


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 + len(digits)]) + digits


def _whole(element: asn1.TLV) -> bytes:
    """An element with its tag and length."""
    return element.tag_bytes + _length(len(element.data)) + bytes(element.data)


def _tagged(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + _length(len(content)) + content
