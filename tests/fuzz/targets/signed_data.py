"""Signatures of images and variables, as foreign bytes."""

from loading import borrow

from efi_services.secure_boot.signed_data import SignedData

ERRORS = (ValueError,)
MAX_LENGTH = 8192


def seeds():
    made = borrow("tests/efi_services/secure_boot/conftest.py")
    root = made.make("Root")
    signer = made.make("Signer", root, authority=False)
    return {
        "image": made.sign_image(bytes(32), signer, (root,)),
        "data": made.sign_data(b"data", signer, (root,)),
        "wrapped": made.sign_data(b"data", signer, (), "sha512", bare=False),
    }


def target(data):
    signed = SignedData.decode(data)
    assert signed.digest_algorithms
    for reached in signed.verified(None if signed.content else b"data"):
        assert reached
    if signed.content is not None:
        _, digest = signed.image_digest
        assert digest in data
