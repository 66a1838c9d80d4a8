"""Who may write which variable: Secure Boot's own, and those that belong to whoever signed them first.

UEFI 2.10, sections 8.2.6 and 32.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import guids
from efi_services.secure_boot import signature_list
from efi_services.secure_boot.authentication import leads_to_one, made_by, owner_of
from efi_services.status import EfiError, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.secure_boot.authentication import Authentication
    from efi_services.secure_boot.modes import Mode
    from efi_services.types import Guid

PK = ("PK", guids.GLOBAL_VARIABLE)
KEK = ("KEK", guids.GLOBAL_VARIABLE)
DB = ("db", guids.IMAGE_SECURITY_DATABASE)
DBX = ("dbx", guids.IMAGE_SECURITY_DATABASE)
#: Written with a signature only: PK and KEK with the platform's key, the databases with a key exchange key too.
DBT = ("dbt", guids.IMAGE_SECURITY_DATABASE)
DBR = ("dbr", guids.IMAGE_SECURITY_DATABASE)
DATABASES = (DB, DBX, DBT, DBR)
ALL = (PK, KEK, *DATABASES)


def check_format(variable: tuple[str, Guid], value: bytes) -> None:
    """Refuse a value that is no sequence of signature lists, or a PK that is not one certificate.

    Raises:
        EfiError: INVALID_PARAMETER.
    """
    from efi_services.secure_boot import chain

    try:
        signatures = signature_list.parse(value)
        for each in signatures:
            if each.type == signature_list.CERT_X509:
                chain.load(each.data)
    except ValueError:
        raise EfiError(Status.INVALID_PARAMETER) from None
    if variable == PK and [each.type for each in signatures] not in ([], [signature_list.CERT_X509]):
        raise EfiError(Status.INVALID_PARAMETER)


def certificates(value: bytes) -> list[bytes]:
    """The certificates in a variable of signature lists."""
    return [each.data for each in signature_list.parse(value) if each.type == signature_list.CERT_X509]


def authorise(
    variable: tuple[str, Guid],
    attributes: int,
    given: Authentication,
    mode: Mode,
    value_of: Callable[[tuple[str, Guid]], bytes],
) -> None:
    """Let a variable of Secure Boot be written, or not; *value_of* gives what the others hold.

    Raises:
        EfiError: SECURITY_VIOLATION, INVALID_PARAMETER (no signature lists).
    """
    if not mode.has_platform_key and variable != PK:
        # While nobody owns the platform anyone may say whom it trusts.
        check_format(variable, given.value)
        return
    name, vendor = variable
    chains = given.chains(name, vendor, attributes)
    if variable == PK and not mode.has_platform_key:
        check_format(variable, given.value)
        allowed = leads_to_one(chains, certificates(given.value))
    else:
        allowed = any(made_by(chains, each) for each in certificates(value_of(PK)))
        if not allowed and variable in DATABASES:
            allowed = leads_to_one(chains, certificates(value_of(KEK)))
        check_format(variable, given.value)
    if not allowed:
        raise EfiError(Status.SECURITY_VIOLATION)


def authorise_private(variable: tuple[str, Guid], attributes: int, given: Authentication, owner: bytes | None) -> bytes:
    """Let any other authenticated variable be written by its *owner*, None for a new one; gives the owner.

    Raises:
        EfiError: SECURITY_VIOLATION.
    """
    name, vendor = variable
    found = owner_of(given.chains(name, vendor, attributes))
    if owner is not None and found != owner:
        raise EfiError(Status.SECURITY_VIOLATION)
    return found
