"""Chains of certificates, as firmware follows them: without looking at the clock, up to whatever is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Certificates that a signature may bring: more are no help, and cost time.
MAX_CERTIFICATES = 32


def load(der: bytes) -> x509.Certificate:
    """The certificate; raises ValueError where the bytes are none that can be used."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        # Read now what is needed later: some of it is only decoded when somebody asks.
        _ = certificate.public_key(), certificate.issuer, certificate.subject, certificate.serial_number
    except Exception as why:  # noqa: BLE001  what a library throws on hostile bytes is anybody's guess
        raise ValueError(f"no certificate that can be used ({type(why).__name__})") from None
    return certificate


def issuers(signer: x509.Certificate, others: Sequence[x509.Certificate]) -> dict[x509.Certificate, int]:
    """The signer's certificate, and all of *others* that it leads to: how many steps away each is, nearest first."""
    depth = {signer: 0}
    waiting = [signer]
    for certificate in waiting:
        for candidate in others:
            if candidate not in depth and issued_by(certificate, candidate, depth[certificate]):
                depth[candidate] = depth[certificate] + 1
                waiting.append(candidate)
    return depth


def leads_to(reached: Mapping[x509.Certificate, int], anchor: x509.Certificate) -> bool:
    """Whether what `issuers` found holds *anchor*, or something that is issued by it."""
    return anchor in reached or any(issued_by(each, anchor, depth) for each, depth in reached.items())


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate, below: int = 0) -> bool:
    """Whether *issuer* signed the certificate, and may: with *below* other authorities between it and the end."""
    if certificate.issuer != issuer.subject or not _may_issue(issuer, below):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _may_issue(certificate: x509.Certificate, below: int) -> bool:
    """Whether it is an authority (RFC 5280, section 4.2.1.9); one of version 1 that signs itself is."""
    try:
        extensions = certificate.extensions
    except (ValueError, x509.DuplicateExtension):
        return False
    may_sign: bool | None = None
    for extension in extensions:
        if isinstance(extension.value, x509.KeyUsage):
            may_sign = extension.value.key_cert_sign
            if not may_sign:
                return False
    for extension in extensions:
        if isinstance(extension.value, x509.BasicConstraints):
            length = extension.value.path_length
            return extension.value.ca and (length is None or below <= length)
    return bool(may_sign) or (certificate.version is x509.Version.v1 and certificate.subject == certificate.issuer)
