"""Whether an image may be loaded: db allows it, dbx forbids it, and the latter wins (UEFI 2.10, section 32.5.3)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from efi_services.secure_boot import chain, signature_list
from efi_services.secure_boot.signature_list import CERT_X509, CERTIFICATE_DIGESTS, IMAGE_DIGESTS, Signature
from efi_services.secure_boot.signed_data import SignedData

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cryptography.x509 import Certificate

    from efi_services.ports import Authenticode

#: By algorithm: digests that are made once, when they are first asked for.
Digests = dict[str, bytes]


class Action(IntEnum):
    """EFI_IMAGE_EXECUTION_ACTION: what came of an image's verification (section 32.5.3.2)."""

    UNTESTED = 0
    SIG_FAILED = 1
    SIG_PASSED = 2
    SIG_NOT_FOUND = 3
    SIG_FOUND = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided on an image, why, and which entry of db it is allowed by."""

    action: Action
    reason: str
    authority: Signature | None = None
    #: The image's own digest, as a signature list has it; None where the file is no image.
    digest: Signature | None = None

    @property
    def allowed(self) -> bool:
        """Whether it may be loaded."""
        return self.action is Action.SIG_PASSED


class Judge:
    """Decides on one image."""

    def __init__(self, image: bytes, authenticode: Authenticode, db: bytes, dbx: bytes, dbt: bytes = b"") -> None:
        self._image = image
        self._authenticode = authenticode
        self._db = signature_list.parse(db)
        self._dbx = signature_list.parse(dbx)
        self._dbt = signature_list.parse(dbt)
        self._digests: Digests = {}

    def decide(self) -> Verdict:
        """The verdict: never raises."""
        try:
            signatures = self._authenticode.signatures(self._image)
            digest = Signature(signature_list.CERT_SHA256, signature_list.NOBODY, self._digest("sha256"))
        except ValueError as why:
            return Verdict(Action.SIG_FAILED, f"it can't be verified: {why}")
        action, reason, authority = self._decide(signatures)
        return Verdict(action, reason, authority, digest)

    def _decide(self, signatures: Sequence[bytes] | None) -> tuple[Action, str, Signature | None]:
        for entry in self._listed(self._dbx):
            return Action.SIG_FOUND, f"dbx lists its {IMAGE_DIGESTS[entry.type]} digest", None
        allowed: tuple[str, Signature] | None = None
        doubts = []
        for data in signatures or ():
            try:
                signed, chains = self._verified(data)
            except ValueError as why:
                doubts.append(str(why))
                continue
            for reached in chains:
                revoked = self._revoked(reached, signed)
                if revoked is not None:
                    return Action.SIG_FAILED, f"dbx forbids {_name(revoked)}, with which it is signed", None
            if allowed is None:
                allowed = self._authority(chains)
            if allowed is None:
                doubts.append(f"db has nothing that vouches for {_name(next(iter(chains[0])))}, who signed it")
        if allowed is not None:
            name, entry = allowed
            return Action.SIG_PASSED, f"db has {name}, which vouches for it", entry
        for entry in self._listed(self._db):
            return Action.SIG_PASSED, f"db lists its {IMAGE_DIGESTS[entry.type]} digest", entry
        if signatures is None:
            return Action.SIG_NOT_FOUND, "it is not signed, and db doesn't list its digest", None
        return Action.SIG_NOT_FOUND, "; ".join(doubts) or "it has no signature of a kind that firmware knows", None

    def _verified(self, data: bytes) -> tuple[SignedData, tuple[Mapping[Certificate, int], ...]]:
        """One signature of this very image, and its chains; raises ValueError with what is wrong."""
        signed = SignedData.decode(data)
        chains = signed.verified()
        algorithm, digest = signed.image_digest
        if digest != self._digest(algorithm):
            raise ValueError("it is not what was signed: its digest is another")
        return signed, chains

    def _listed(self, database: Sequence[Signature]) -> Iterator[Signature]:
        """The entries that are digests of the image."""
        for each in database:
            algorithm = IMAGE_DIGESTS.get(each.type)
            if algorithm is not None and each.data == self._digest(algorithm):
                yield each

    def _revoked(self, reached: Mapping[Certificate, int], signed: SignedData) -> Certificate | None:
        """The certificate of a chain that dbx forbids: by itself, by its issuer, or by its digest.

        One that is revoked from some time on does no harm where dbt has somebody who saw the signature before that.
        """
        signer = next(iter(reached))
        for each in self._dbx:
            if each.type == CERT_X509 and chain.leads_to(reached, chain.load(each.data)):
                return signer
        anchors = [chain.load(each.data) for each in self._db if each.type == CERT_X509]
        for certificate in (*reached, *(each for each in anchors if chain.leads_to(reached, each))):
            for each in self._dbx:
                algorithm = CERTIFICATE_DIGESTS.get(each.type)
                if algorithm is not None:
                    digest = hashlib.new(algorithm, certificate.tbs_certificate_bytes).digest()
                    if each.data.startswith(digest) and not self._was_before(signed, each.data[len(digest) :]):
                        return certificate
        return None

    def _was_before(self, signed: SignedData, since: bytes) -> bool:
        """Whether somebody whom dbt trusts saw the signature no later than at an EFI_TIME; at no time for zero."""
        when = struct.unpack_from("<HBBBBB", since)
        if not any(when):
            return False
        from efi_services.secure_boot import timestamp

        trusted = [chain.load(each.data) for each in self._dbt if each.type == CERT_X509]
        try:
            return any(moment <= when for moment in timestamp.moments(signed, trusted))
        except ValueError:
            return False

    def _authority(self, chains: Sequence[Mapping[Certificate, int]]) -> tuple[str, Signature] | None:
        """The first certificate of db that all signers of a signature lead to."""
        for each in self._db:
            if each.type == CERT_X509:
                anchor = chain.load(each.data)
                if all(chain.leads_to(reached, anchor) for reached in chains):
                    return _name(anchor), each
        return None

    def _digest(self, algorithm: str) -> bytes:
        if algorithm not in self._digests:
            self._digests[algorithm] = self._authenticode.digest(self._image, algorithm)
        return self._digests[algorithm]


def _name(certificate: Certificate) -> str:
    """The subject, in one printable line."""
    try:
        text = certificate.subject.rfc4514_string()
    except ValueError:
        text = ""
    return "".join(each if each.isprintable() else "?" for each in text)[:200] or "a certificate without a name"
