"""Quotes over PCRs: made and verified as TPM2_Quote has them (TPM 2.0 part 2, section 10.12; part 3, section 18.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from efi_services.tcg.algorithms import Algorithm, by_number
from efi_services.tcg.registers import PCRS
from shim.errors import DiffersError, UnreadableError, UsageError
from shim.measure.formats.selection import encode_selection, pcr_digest, spelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.measure.formats.selection import Selection

    PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_GENERATED = 0xFF54_4347
_QUOTE = 0x8018
_RSASSA, _RSAPSS, _ECDSA = 0x0014, 0x0016, 0x0018
#: TPMS_CLOCK_INFO and the firmware's version, which say nothing here: clock, resets, restarts, whether it is safe.
_CLOCK = struct.Struct(">QIIBQ")
_HASHES = {
    Algorithm.SHA256: hashes.SHA256(),
    Algorithm.SHA384: hashes.SHA384(),
    Algorithm.SHA512: hashes.SHA512(),
}
#: No TPM writes longer ones: TPM2B_DATA, and a signature by the longest RSA key.
_MOST = 1024


@dataclass(frozen=True, slots=True)
class Quote:
    """TPMS_ATTEST, and TPMT_SIGNATURE over it: what tpm2_quote writes as message and signature."""

    message: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Attested:
    """What a quote says: the caller's data, the selected PCRs, and the digest of their values."""

    signer: bytes
    qualifying: bytes
    selection: Selection
    digest: bytes


def quote(
    registers: Mapping[int, Mapping[Algorithm, bytes]],
    selection: Selection,
    key: PrivateKey,
    *,
    qualifying: bytes = b"",
    algorithm: Algorithm = Algorithm.SHA256,
    signer: bytes = b"",
) -> Quote:
    """Quote the selected registers; *signer* is the qualified name of the key, where there is a TPM that has it."""
    _check_known(registers, selection)
    if algorithm not in _HASHES:
        raise UsageError(f"nothing is signed with {algorithm.label} any more")
    message = struct.pack(">IH", _GENERATED, _QUOTE) + _sized(signer) + _sized(qualifying)
    message += _CLOCK.pack(0, 0, 0, 1, 0)
    message += encode_selection(selection) + _sized(pcr_digest(registers, selection, algorithm))
    return Quote(message, _sign(message, key, algorithm))


def verify(
    quoted: Quote,
    key: PublicKey,
    registers: Mapping[int, Mapping[Algorithm, bytes]],
    selection: Selection,
    *,
    qualifying: bytes,
) -> Attested:
    """Say what a quote attests, if it is signed by *key* and is about these values of exactly the selected PCRs.

    Raises:
        DiffersError: it is signed by another key, or about other data, PCRs or values.
        UnreadableError: it is no quote.
    """
    _check_known(registers, selection)
    algorithm = _check_signature(quoted, key)
    found = read(quoted.message)
    if found.qualifying != qualifying:
        raise DiffersError("the quote was made for other data: it may be an old one")
    if {each: set(pcrs) for each, pcrs in found.selection.items() if pcrs} != {
        each: set(pcrs) for each, pcrs in selection.items() if pcrs
    }:
        raise DiffersError(f"the quote is about {spelled(found.selection) or 'no PCR'}, not {spelled(selection)}")
    # In the order of the quote's banks, which need not be ours.
    if found.digest != pcr_digest(registers, found.selection, algorithm):
        raise DiffersError("the quoted PCRs hold other values")
    return found


def read(message: bytes) -> Attested:
    """Take TPMS_ATTEST apart; raises UnreadableError where it is no quote."""
    reader = _Reader(message)
    magic, kind = reader.numbers(">IH")
    if magic != _GENERATED or kind != _QUOTE:
        raise UnreadableError("the message is no quote of a TPM")
    signer, qualifying = reader.sized(), reader.sized()
    reader.take(_CLOCK.size)
    selection: Selection = {}
    (count,) = reader.numbers(">I")
    if count > 16:
        raise UnreadableError(f"the quote selects PCRs of {count} banks")
    for _ in range(count):
        number, size = reader.numbers(">HB")
        bitmap = int.from_bytes(reader.take(size), "little")
        bank = by_number(number)
        if bank is None or bank in selection or bitmap >> PCRS:
            raise UnreadableError(f"the quote selects bank {number:#x} twice, or PCRs that are not known")
        selection[bank] = tuple(index for index in range(PCRS) if bitmap >> index & 1)
    digest = reader.sized()
    reader.end()
    return Attested(signer, qualifying, selection, digest)


def _check_known(registers: Mapping[int, Mapping[Algorithm, bytes]], selection: Selection) -> None:
    for bank, pcrs in selection.items():
        for index in pcrs:
            if bank not in registers.get(index, {}):
                raise UsageError(f"PCR {index} of {bank.label} is selected, and not known")
    if not any(selection.values()):
        raise UsageError("no PCR is selected")


def _sign(message: bytes, key: PrivateKey, algorithm: Algorithm) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(message, padding.PKCS1v15(), _HASHES[algorithm])
        return struct.pack(">HH", _RSASSA, algorithm.number) + _sized(signature)
    size = (key.key_size + 7) // 8
    pair = decode_dss_signature(key.sign(message, ec.ECDSA(_HASHES[algorithm])))
    head = struct.pack(">HH", _ECDSA, algorithm.number)
    return head + b"".join(_sized(each.to_bytes(size, "big")) for each in pair)


def _check_signature(quoted: Quote, key: PublicKey) -> Algorithm:
    """Check TPMT_SIGNATURE, and say by which algorithm the message was digested."""
    reader = _Reader(quoted.signature)
    scheme, number = reader.numbers(">HH")
    algorithm = by_number(number)
    if algorithm not in _HASHES:
        raise UnreadableError(f"the signature is over a digest by {number:#x}, which is not accepted")
    sha = _HASHES[algorithm]
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and scheme == _ECDSA:
            r, s = (int.from_bytes(reader.sized(), "big") for _ in range(2))
            reader.end()
            key.verify(encode_dss_signature(r, s), quoted.message, ec.ECDSA(sha))
        elif isinstance(key, rsa.RSAPublicKey) and scheme in (_RSASSA, _RSAPSS):
            signature = reader.sized()
            reader.end()
            pss = padding.PSS(padding.MGF1(sha), padding.PSS.AUTO)
            key.verify(signature, quoted.message, padding.PKCS1v15() if scheme == _RSASSA else pss, sha)
        else:
            raise DiffersError(f"the signature's scheme {scheme:#x} is not one of this key")
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise DiffersError("the quote is not signed by this key") from None
    return algorithm


def _sized(data: bytes) -> bytes:
    """A TPM2B."""
    return struct.pack(">H", len(data)) + data


class _Reader:
    """Walks over a structure of a TPM."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if len(found) < size:
            raise UnreadableError(f"the quote is cut off at byte {self._at}")
        self._at += size
        return found

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def sized(self) -> bytes:
        (size,) = self.numbers(">H")
        if size > _MOST:
            raise UnreadableError(f"the quote has a part of {size} bytes")
        return self.take(size)

    def end(self) -> None:
        if self._at != len(self._data):
            raise UnreadableError(f"{len(self._data) - self._at} bytes follow the quote")
