"""Timestamps of signatures (RFC 3161), as Authenticode carries them: when somebody trusted has seen a signature.

The older form, a countersignature as of PKCS #9, isn't read: EDK2 doesn't read it either.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

from cryptography import x509  # noqa: TC002 - what reads the annotations needs it
from cryptography.hazmat import asn1

from efi_services.secure_boot import chain
from efi_services.secure_boot.signed_data import Attribute, DigestInfo, SignedData, hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.x509 import Certificate

    from efi_services.secure_boot.authentication import Moment

#: SPC_RFC3161_OBJID, and id-ct-TSTInfo.
_RFC_3161 = "1.3.6.1.4.1.311.3.3.1"
_TIME_STAMP_INFO = "1.2.840.113549.1.9.16.1.4"
#: Tokens that are looked at.
MOST = 8


@asn1.sequence
class _Accuracy:
    seconds: int | None
    millis: Annotated[int | None, asn1.Implicit(0)]
    micros: Annotated[int | None, asn1.Implicit(1)]


@asn1.sequence
class _TimeStampInfo:
    version: int
    policy: x509.ObjectIdentifier
    imprint: DigestInfo
    serial_number: int
    time: asn1.GeneralizedTime
    accuracy: _Accuracy | None
    ordering: Annotated[bool, asn1.Default(False)]
    nonce: int | None
    # A name behind an explicit tag, which looks like a sequence of one.
    authority: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    extensions: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]


def moments(signed: SignedData, trusted: Sequence[Certificate]) -> Iterator[Moment]:
    """When a signature was seen, by whoever leads to one of the *trusted* certificates; wrong tokens say nothing."""
    count = 0
    for value, attributes in signed.unauthenticated:
        for each in attributes:
            count += 1
            if count > MOST:
                return
            try:
                moment = _moment(each, value, trusted)
            except ValueError:
                continue
            if moment is not None:
                yield moment


def _moment(attribute: Attribute, value: bytes, trusted: Sequence[Certificate]) -> Moment | None:
    """What one token says of the signature *value*; None where nobody trusted says it. Raises ValueError."""
    if attribute.type.dotted_string != _RFC_3161:
        return None
    (token,) = attribute.values.as_list()
    stamp = SignedData.of_element(token)
    if stamp.content_type != _TIME_STAMP_INFO or stamp.content is None:
        raise ValueError("it is no timestamp")
    told = asn1.decode_der(_TimeStampInfo, stamp.content)
    if told.version != 1 or told.imprint.digest != hashlib.new(hash_of(told.imprint.algorithm).name, value).digest():
        raise ValueError("it is a timestamp of something else")
    for reached in stamp.verified():
        if not any(chain.leads_to(reached, each) for each in trusted):
            return None
    at = told.time.as_datetime()
    return at.year, at.month, at.day, at.hour, at.minute, at.second
