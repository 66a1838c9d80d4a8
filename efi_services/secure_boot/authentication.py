"""Time-based authentication of variables (UEFI 2.10, section 8.2.6)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.status import EfiError, Status
from efi_services.types import Guid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryptography.x509 import Certificate

#: Year, month, day, hour, minute, second.
Moment = tuple[int, int, int, int, int, int]

_CERT_PKCS7 = Guid("4aafd29d-68df-49ee-8aa9-347d375665a7")
_GUID_CERTIFICATE = 0x0EF1
_REVISION = 0x0200
#: EFI_TIME, and the head of WIN_CERTIFICATE_UEFI_GUID.
_TIME = struct.Struct("<HBBBBBBIhBB")
_CERTIFICATE = struct.Struct("<IHH16s")


@dataclass(frozen=True, slots=True)
class Authentication:
    """EFI_VARIABLE_AUTHENTICATION_2: when, and the signature; behind it comes the variable's new value."""

    moment: Moment
    time: bytes
    signature: bytes
    value: bytes

    @classmethod
    def decode(cls, data: bytes) -> Authentication:
        """Take a descriptor and what follows it apart; raises SECURITY_VIOLATION where it is not in order."""
        head = _TIME.size + _CERTIFICATE.size
        if len(data) < head:
            raise EfiError(Status.SECURITY_VIOLATION)
        *moment, pad, nanosecond, zone, daylight, last = _TIME.unpack_from(data)
        size, revision, kind, guid = _CERTIFICATE.unpack_from(data, _TIME.size)
        end = _TIME.size + size
        if (
            any((pad, nanosecond, zone, daylight, last))
            or not head <= end <= len(data)
            or (revision, kind, Guid(bytes_le=guid)) != (_REVISION, _GUID_CERTIFICATE, _CERT_PKCS7)
        ):
            raise EfiError(Status.SECURITY_VIOLATION)
        year, month, day, hour, minute, second = moment
        return cls((year, month, day, hour, minute, second), data[: _TIME.size], data[head:end], data[end:])

    def chains(self, name: str, vendor: Guid, attributes: int) -> tuple[Mapping[Certificate, int], ...]:
        """Check the signature for a SetVariable with these arguments; gives each signer's chain.

        Raises:
            EfiError: SECURITY_VIOLATION.
        """
        # It takes a while to import, and few runs write such variables.
        from efi_services.secure_boot.signed_data import DATA, SignedData

        told = name.encode("utf-16-le") + vendor.bytes_le + attributes.to_bytes(4, "little") + self.time + self.value
        try:
            signed = SignedData.decode(self.signature)
            if signed.content_type != DATA:
                raise ValueError("it is no signature of data")
            return signed.verified(told)
        except ValueError:
            raise EfiError(Status.SECURITY_VIOLATION) from None


def leads_to_one(chains: Iterable[Mapping[Certificate, int]], trusted: Iterable[bytes]) -> bool:
    """Whether each signer's chain leads to one of the certificates."""
    from efi_services.secure_boot import chain

    anchors = []
    for each in trusted:
        try:
            anchors.append(chain.load(each))
        except ValueError:
            continue
    return all(any(chain.leads_to(reached, anchor) for anchor in anchors) for reached in chains)


def made_by(chains: Iterable[Mapping[Certificate, int]], key: bytes) -> bool:
    """Whether each signer's own certificate is this one."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return all(next(iter(reached)).public_bytes(Encoding.DER) == key for reached in chains)


def owner_of(chains: Iterable[Mapping[Certificate, int]]) -> bytes:
    """Who may write a private variable again: the signer's common name, under the authority at the chain's end."""
    from cryptography.x509.oid import NameOID

    owners = []
    for reached in chains:
        signer, *_ = certificates = list(reached)
        names = [each.value for each in signer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        name = names[0] if names else ""
        text = name.encode() if isinstance(name, str) else name
        owners.append(hashlib.sha256(text + certificates[-1].tbs_certificate_bytes).digest())
    return b"".join(owners)
