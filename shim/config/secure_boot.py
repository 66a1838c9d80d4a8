"""Secure Boot in a platform: its mode, and its keys from wherever they are."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from efi_services.secure_boot.modes import Mode
from efi_services.secure_boot.signature_list import CERT_SHA256, CERT_X509, NOBODY, Signature, pack, parse
from shim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: The platform's keys and databases, by their names in TOML and as variables.
NAMES = {"pk": "PK", "kek": "KEK", "db": "db", "dbx": "dbx", "dbt": "dbt"}
_AUTHENTICATION_GUID = UUID("4aafd29d-68df-49ee-8aa9-347d375665a7").bytes_le


class Key(BaseModel):
    """A key, several, or digests: from a *file*, as hexadecimal *data*, *known* by its name, or a *sha256* digest.

    A file holds certificates in PEM or one in DER, signature lists, or an authenticated variable (.auth). *known* is a
    certificate that comes with virt-firmware, as microsoft.com/ms-uefi-2023. *owner* tells whose certificates and
    digests are; signature lists say so themselves.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str | None = None
    file: str | None = None
    known: str | None = Field(default=None, pattern=r"^[a-z0-9.-]+/[a-z0-9.-]+$")
    sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")
    owner: UUID = NOBODY

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [each for each in (self.data, self.file, self.known, self.sha256) if each is not None]
        if len(given) != 1:
            raise ValueError("give one of data, file, known and sha256")
        if self.file is None:
            _ = self.signatures
        return self

    @cached_property
    def signatures(self) -> tuple[Signature, ...]:
        """What it stands for; raises ValueError where that is nothing. A file has been replaced by its content."""
        if self.sha256 is not None:
            return (Signature(CERT_SHA256, self.owner, bytes.fromhex(self.sha256)),)
        if self.known is not None:
            return read_signatures(known_certificate(self.known), self.owner)
        try:
            content = bytes.fromhex(self.data or "")
        except ValueError:
            raise ValueError("data is not hexadecimal") from None
        return read_signatures(content, self.owner)


class SecureBoot(BaseModel):
    """Secure Boot: its keys, its *mode*, and whether images are verified once there is a platform key (*enabled*).

    The mode is user where there is a platform key, else setup. *policy* says what becomes of a refused image: deny, or
    defer, which is to load it and not let it be started. *vendor_keys* is what the variable VendorKeys tells. The keys
    may be given each by itself, or all of them by a file with a firmware's variables, the *varstore*.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True
    mode: Literal["setup", "audit", "user", "deployed"] | None = None
    policy: Literal["deny", "defer"] = "deny"
    vendor_keys: bool = False
    varstore: str | None = None
    pk: tuple[Key, ...] = ()
    kek: tuple[Key, ...] = ()
    db: tuple[Key, ...] = ()
    dbx: tuple[Key, ...] = ()
    dbt: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        # Files have been replaced by their content when a platform is read; a schema knows of them all the same.
        if self.varstore or any(each.file is not None for name in NAMES for each in getattr(self, name)):
            return self
        signatures = [each for key in self.pk for each in key.signatures]
        if signatures and [each.type for each in signatures] != [CERT_X509]:
            raise ValueError("a platform key is one certificate")
        if self.state.has_platform_key != bool(signatures):
            raise ValueError(f"in {self.state.label} mode there is {'no' if signatures else 'a'} platform key")
        return self

    @property
    def state(self) -> Mode:
        """The mode at power-on."""
        if self.mode is None:
            return Mode.USER if self.pk else Mode.SETUP
        return Mode[self.mode.upper()]

    @property
    def databases(self) -> dict[str, bytes]:
        """By variable, the signature lists that it holds; those without any are left out."""
        lists = {
            variable: pack(each for key in getattr(self, name) for each in key.signatures)
            for name, variable in NAMES.items()
        }
        return {variable: data for variable, data in lists.items() if data}


def read_signatures(content: bytes, owner: UUID) -> tuple[Signature, ...]:
    """The signatures in a file's content, whatever its form is; raises ValueError where it is none of them."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from efi_services.secure_boot import chain

    if b"-----BEGIN" in content:
        try:
            certificates = x509.load_pem_x509_certificates(content)
        except (ValueError, x509.InvalidVersion) as why:
            raise ValueError(f"no certificates in PEM: {why}") from None
        encoded = [each.public_bytes(Encoding.DER) for each in certificates]
    elif content.startswith(b"\x30"):
        encoded = [content]
    else:
        if content[24:40] == _AUTHENTICATION_GUID:
            content = content[16 + int.from_bytes(content[16:20], "little") :]
        found = parse(content)
        if not found:
            raise ValueError("there are no keys in it")
        for each in found:
            if each.type == CERT_X509:
                chain.load(each.data)
        return found
    for der in encoded:
        chain.load(der)
    return tuple(Signature(CERT_X509, owner, der) for der in encoded)


def known_certificate(name: str) -> bytes:
    """A certificate that comes with virt-firmware; raises ValueError."""
    from virt.firmware.efi import certs

    try:
        content: bytes = certs.load_cert(name)
    except (OSError, ValueError):
        raise ValueError(f"virt-firmware brings no certificate {name}") from None
    return content


def fill_in(settings: dict[str, Any], folder: Path, read: Callable[[Path], bytes]) -> None:
    """Put the content of files where a platform's [secure_boot] names them; raises what *read* raises, UsageError."""
    store = settings.get("varstore")
    if isinstance(store, str):
        del settings["varstore"]
        # That it is a file, and one of a size that can be read, is said in our words.
        read(folder / store)
        for name, data in _variable_store(folder / store).items():
            if name in settings:
                raise UsageError(f"secure_boot.{name} is in {store} already")
            settings[name] = [{"data": data.hex()}]
    for name in NAMES:
        given = settings.get(name)
        for each in given if isinstance(given, list) else []:
            if isinstance(each, dict) and isinstance(each.get("file"), str) and "data" not in each:
                each["data"] = read(folder / each.pop("file")).hex()


def _variable_store(path: Path) -> dict[str, bytes]:
    """The keys in a variable store of EDK2's or virt-firmware's, as OVMF_VARS.fd."""
    from virt.firmware.varstore.edk2 import Edk2VarStore
    from virt.firmware.varstore.jstore import JsonVarStore

    try:
        kind = next(each for each in (Edk2VarStore, JsonVarStore) if each.probe(str(path)))
        found = kind(str(path)).get_varlist()
        held = {name: bytes(found[variable].data) for name, variable in NAMES.items() if variable in found}
    except (Exception, SystemExit):  # noqa: BLE001  it is made for files that are in order
        raise UsageError(f"{path}: no variable store that virt-firmware can read") from None
    if not held:
        raise UsageError(f"{path}: a variable store without keys")
    return held
