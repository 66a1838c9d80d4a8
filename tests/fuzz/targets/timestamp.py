"""Timestamps of signatures, as foreign bytes: in a signature that carries them."""

from loading import borrow

from efi_services.secure_boot import timestamp
from efi_services.secure_boot.signed_data import SignedData

ERRORS = (ValueError,)
MAX_LENGTH = 4096
_made = borrow("tests/efi_services/secure_boot/conftest.py")
_authority = _made.make("Authority")
_signer = _made.make("Signer", authority=False)
_OID = bytes.fromhex("060a2b060104018237030301")


def seeds():
    """Tokens; `target` puts them into a signature."""
    imprint = _made.der(0x30, _made.der(0x30, bytes.fromhex(_made.OIDS["sha256"]), b"\5\0"), _made.der(4, bytes(32)))
    told = _made.der(
        0x30, b"\2\1\1", b"\6\3\x2a\3\4", imprint, b"\2\1\1", _made.der(0x18, b"20240101000000Z"), b"\1\1\xff"
    )
    token = _made.sign_data(told, _authority, bare=False)
    return {"token": token, "information": told, "bare": _made.sign_data(told, _authority)}


def target(data):
    attribute = _made.der(0x30, _OID, _made.der(0x31, data))
    signature = _made.sign_image(bytes(32), _signer, added=lambda _value: attribute)
    for moment in timestamp.moments(SignedData.decode(signature), [_authority.certificate]):
        assert len(moment) == 6
