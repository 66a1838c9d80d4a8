"""Signature lists, as a payload writes them into db and dbx."""

from efi_services.secure_boot.signature_list import CERT_SHA256, CERT_X509, Signature, appended, pack, parse
from efi_services.types import Guid

ERRORS = (ValueError,)
MAX_LENGTH = 4096


def seeds():
    digests = [Signature(CERT_SHA256, Guid(int=n), bytes([n]) * 32) for n in range(3)]
    return {
        "digests": pack(digests),
        "mixed": pack([digests[0], Signature(CERT_X509, Guid(int=1), b"no certificate"), digests[1]]),
    }


def target(data):
    found = parse(data)
    assert parse(pack(found)) == found
    assert set(parse(appended(data, data))) == set(found)
