import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virt.firmware.efi.siglist import EfiSigDB

from efi_services.secure_boot.signature_list import (
    CERT_SHA256,
    CERT_SHA512,
    CERT_X509,
    CERT_X509_SHA256,
    Signature,
    appended,
    pack,
    parse,
)
from efi_services.types import Guid

ME, YOU = Guid(int=1), Guid(int=2)
ONE = Signature(CERT_SHA256, ME, b"1" * 32)
TWO = Signature(CERT_SHA256, YOU, b"2" * 32)


def header(kind=CERT_SHA256, size=28 + 48, head=0, each=48):
    return kind.bytes_le + struct.pack("<III", size, head, each)


def test_lists_there_and_back(people):
    signatures = (ONE, TWO, people.root.signature, people.signer.signature, Signature(CERT_X509_SHA256, ME, bytes(48)))
    assert parse(pack(signatures)) == signatures
    assert pack(signatures)[:28] == header(size=28 + 2 * 48)
    assert parse(b"") == ()
    assert ONE.packed == ME.bytes_le + b"1" * 32


def test_another_library_reads_the_same(people):
    theirs = EfiSigDB(pack((ONE, TWO, people.root.signature)))
    found = [(str(each.guid), [(sig["guid"], sig["data"]) for sig in each]) for each in theirs]
    assert found == [
        (str(CERT_SHA256), [(ME, ONE.data), (YOU, TWO.data)]),
        (str(CERT_X509), [(people.root.signature.owner, people.root.der)]),
    ]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (header()[:20], "cut off within its header"),
        (header() + bytes(47), "is cut off"),
        (header(Guid(int=9)) + bytes(48), "unknown type"),
        (header(head=8, size=28 + 56) + bytes(56), "behind a header of 8"),
        (header(each=0) + bytes(48), "signatures of 0 bytes"),
        (header(each=16) + bytes(48), "signatures of 16 bytes"),
        (header(each=47) + bytes(48), "signatures of 47 bytes"),
        (header(size=28) + bytes(48), "no whole signatures"),
        (header(size=28 + 50) + bytes(50), "no whole signatures"),
        (header(size=0) + bytes(48), "no whole signatures"),
        (header(CERT_SHA512, each=48) + bytes(48), "none of type"),
        (header() + bytes(48) + b"\0", "within its header"),
    ],
)
def test_what_is_refused(data, why):
    with pytest.raises(ValueError, match=why):
        parse(data)


@given(st.binary(max_size=200) | st.builds(lambda a, b: header() + a + header(each=48) + b, st.binary(), st.binary()))
def test_anything_is_read_or_refused(data):
    try:
        found = parse(data)
    except ValueError:
        return
    assert sum(16 + len(each.data) for each in found) <= len(data)
    assert parse(pack(found)) == found


def test_what_is_there_is_not_appended_again():
    assert parse(appended(pack([ONE]), pack([TWO, ONE]))) == (ONE, TWO)
    assert appended(pack([ONE]), pack([ONE])) == pack([ONE])
    assert appended(b"", pack([ONE])) == pack([ONE])
