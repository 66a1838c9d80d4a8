"""What the payload's file itself has to measure: who signed it, and the sections of a unified kernel image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.guids import IMAGE_SECURITY_DATABASE
from efi_services.tcg.events import variable_data
from payloads import NotRunnable, uki
from payloads.model import Kind
from payloads.pe import section_bytes
from payloads.signatures import signer_certificates
from shim.errors import NotRunnableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from payloads import Payload

#: It is about the measurements, so it is none of them.
_SIGNATURES = ".pcrsig"
#: SignatureOwner: who put a certificate into db. From the file alone nobody can tell.
_NO_OWNER = bytes(16)


def authorities(payload: Payload) -> list[bytes]:
    """UEFI_VARIABLE_DATA for each signer, as PCR 7 has it of the entry of db that let an image pass.

    The variable is db, and its data EFI_SIGNATURE_DATA: an owner, which is zero here, and the signer's certificate. An
    image that nobody signed has one without data, as a variable that isn't there is measured.

    Raises:
        NotRunnableError: the certificate table can't be decoded.
    """
    try:
        found = signer_certificates(payload.data)
    except NotRunnable as why:
        raise NotRunnableError(f"{payload.name}: {why}") from None
    entries = [_NO_OWNER + certificate for certificate in found] or [b""]
    return [variable_data(IMAGE_SECURITY_DATABASE, "db", each) for each in entries]


def sections(payload: Payload) -> Iterator[tuple[str, bytes]]:
    """Name and contents of the sections that systemd-stub measures of the first profile, in its order.

    Raises:
        UsageError: it is no unified kernel image.
    """
    if payload.kind is not Kind.UKI:
        raise UsageError(f"{payload.name} is no unified kernel image: it has no sections to measure one by one")
    for section in uki.profiles(payload.data, payload.image)[0].sections:
        if section.name != _SIGNATURES:
            # All that lies in memory counts, and what the file does not hold is zero there.
            yield section.name, section_bytes(payload.data, section).ljust(section.virtual_size, b"\0")
