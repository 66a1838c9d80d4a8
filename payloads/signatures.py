"""Authenticode: digests and signatures of an image, by LIEF.

Source: "Windows Authenticode Portable Executable Signature Format"; UEFI 2.10, 32.2.4. LIEF is imported inside the
functions: it takes half a second, and most runs don't need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from payloads.errors import NotRunnable
from payloads.pe import read_image

if TYPE_CHECKING:
    import lief

_ALGORITHMS = {"sha1": "SHA_1", "sha256": "SHA_256", "sha384": "SHA_384", "sha512": "SHA_512"}


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed; subject and validity are None when the signer's certificate is not in the table."""

    subject: str | None
    issuer: str
    serial: str
    digest_algorithm: str


@dataclass(frozen=True, slots=True)
class Signature:
    """One entry of the certificate table. What it is worth (trust, time, revocation) is not judged here."""

    digest_algorithm: str
    digest: str
    digest_matches: bool
    signers: tuple[Signer, ...]
    certificates: tuple[str, ...]


def authentihash(data: bytes, algorithm: str) -> bytes:
    """The Authenticode digest of an image; see ``payloads.pe.authenticode``."""
    if algorithm not in _ALGORITHMS:
        raise ValueError(f"no such digest algorithm: {algorithm}")
    return _digest(_parse(data, with_signatures=False), algorithm)


def read_signatures(data: bytes) -> tuple[Signature, ...]:
    """Decode the certificate table.

    Returns:
        The signatures in the order of the table; empty when there is none.

    Raises:
        NotRunnable: the bytes are no PE image, or its certificate table can't be decoded.
    """
    binary = _parse(data, with_signatures=True)
    try:
        found = tuple(_signature(binary, signature) for signature in binary.signatures)
        unread = not found and _has_certificate_table(binary)
    except Exception as error:  # noqa: BLE001  names and dates come from the file, and LIEF checks few of them
        raise NotRunnable(f"LIEF can't decode the certificate table ({type(error).__name__})") from None
    if unread:
        raise NotRunnable("LIEF can't decode the certificate table")
    return found


def signer_certificates(data: bytes) -> tuple[bytes, ...]:
    """The certificates of those who signed the image, in DER, in the order of the table.

    Raises:
        NotRunnable: as `read_signatures`, or a signer's certificate is not in the table.
    """
    read_signatures(data)
    binary = _parse(data, with_signatures=True)
    found = []
    for signature in binary.signatures:
        for signer in signature.signers:
            if signer.cert is None:
                raise NotRunnable("the certificate table lacks a signer's certificate")
            found.append(bytes(signer.cert.raw))
    return tuple(found)


def _parse(data: bytes, *, with_signatures: bool) -> lief.PE.Binary:
    """Let LIEF read an image that our own checks have found in order; it is less careful with broken ones."""
    read_image(data)
    import lief

    lief.logging.disable()  # it would write about broken certificates to the terminal
    config = lief.PE.ParserConfig()
    config.parse_signature = with_signatures
    config.parse_imports = config.parse_exports = config.parse_rsrc = config.parse_reloc = False
    config.parse_exceptions = False
    try:
        binary = lief.PE.parse(data, config)
    except Exception as error:  # noqa: BLE001  what a C++ library throws on hostile bytes is anybody's guess
        raise NotRunnable(f"the image can't be decoded for its signatures ({type(error).__name__})") from None
    if binary is None:
        raise NotRunnable("the image can't be decoded for its signatures")
    return binary


def _digest(binary: lief.PE.Binary, algorithm: str) -> bytes:
    import lief

    try:
        digest = bytes(binary.authentihash(getattr(lief.PE.ALGORITHMS, _ALGORITHMS[algorithm])))
    except Exception as error:  # noqa: BLE001  as in _parse
        raise NotRunnable(f"the Authenticode digest can't be computed ({type(error).__name__})") from None
    if not digest:
        raise NotRunnable("LIEF computes no Authenticode digest of an image without a directory for certificates")
    return digest


def _has_certificate_table(binary: lief.PE.Binary) -> bool:
    import lief

    directory = binary.data_directory(lief.PE.DataDirectory.TYPES.CERTIFICATE_TABLE)
    return directory is not None and directory.size > 0


def _signature(binary: lief.PE.Binary, signature: lief.PE.Signature) -> Signature:
    digest = bytes(signature.content_info.digest)
    algorithm = _algorithm_name(signature.digest_algorithm)
    return Signature(
        digest_algorithm=algorithm,
        digest=digest.hex(),
        digest_matches=algorithm in _ALGORITHMS and digest == _digest(binary, algorithm),
        signers=tuple(_signer(signer) for signer in signature.signers),
        certificates=tuple(str(certificate.subject) for certificate in signature.certificates),
    )


def _signer(signer: lief.PE.SignerInfo) -> Signer:
    certificate = signer.cert
    return Signer(
        subject=str(certificate.subject) if certificate is not None else None,
        issuer=str(signer.issuer),
        serial=bytes(signer.serial_number).hex(),
        digest_algorithm=_algorithm_name(signer.digest_algorithm),
    )


def _algorithm_name(algorithm: lief.PE.ALGORITHMS) -> str:
    """LIEF's SHA_256 as everybody else writes it: sha256."""
    return algorithm.name.lower().replace("_", "")
