"""Keys of Secure Boot in a user's files: certificates, signature lists, authenticated variables."""

from uuid import UUID

from loading import borrow

from efi_services.secure_boot import chain
from efi_services.secure_boot.signature_list import CERT_X509, pack, parse
from shim.config.secure_boot import read_signatures

ERRORS = (ValueError,)
MAX_LENGTH = 4096
_OWNER = UUID(int=1)


def seeds():
    made = borrow("tests/efi_services/secure_boot/conftest.py")
    root = made.make("Root")
    pem = root.certificate.public_bytes(made.serialization.Encoding.PEM)
    variable = made.sign_variable(("db", made.OWNER), 0x27, root.listed, root)
    return {"pem": pem, "der": root.der, "list": root.listed, "variable": variable}


def target(data):
    found = read_signatures(data, _OWNER)
    assert found
    assert parse(pack(found)) == found
    for each in found:
        if each.type == CERT_X509:
            chain.load(each.data)
