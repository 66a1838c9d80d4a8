"""Timestamps by OpenSSL, and revocation from some time on."""

import hashlib
import struct
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from efi_services.secure_boot import signature_list, timestamp
from efi_services.secure_boot.signature_list import CERT_X509_SHA256, Signature
from efi_services.secure_boot.signed_data import SignedData
from efi_services.secure_boot.verification import Judge
from fakes import FakeAuthenticode

IMAGE = b"MZ an image"
OID = bytes.fromhex("060a2b060104018237030301")
SETTINGS = """\
[tsa]
default_tsa = here
[here]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = DIGEST
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1, millisecs:5
ordering = yes
tsa_name = yes
ess_cert_id_alg = sha256
"""


class Seen:
    """A timestamp authority of OpenSSL's, in a folder: new, or as it is there."""

    def __init__(self, folder):
        self.folder = folder
        if (folder / "serial").exists():
            return
        folder.mkdir(exist_ok=True)
        (folder / "extensions").write_text(
            "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n"
        )
        (folder / "serial").write_text("01\n")
        self("req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -subj /CN=root -days 36500")
        self("req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj /CN=tsa")
        options = "-set_serial 2 -days 36500 -extfile extensions -out tsa.pem"
        self(f"x509 -req -in tsa.csr -CA root.pem -CAkey root.key {options}")

    def __call__(self, words):
        subprocess.run(["openssl", *words.split()], cwd=self.folder, check=True, capture_output=True)

    def certificate(self, name="root"):
        return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())

    def listed(self, name="root"):
        der = self.certificate(name).public_bytes(Encoding.DER)
        return signature_list.pack([Signature(signature_list.CERT_X509, signature_list.NOBODY, der)])

    def token(self, value, digest="sha256", signer_digest="sha256", certificates=True):
        (self.folder / "settings").write_text(SETTINGS.replace("DIGEST", signer_digest))
        (self.folder / "value").write_bytes(value)
        self(f"ts -query -data value -{digest} {'-cert' if certificates else ''} -out query")
        self("ts -reply -config settings -queryfile query -token_out -out token")
        return (self.folder / "token").read_bytes()


@pytest.fixture(scope="module")
def authority(need, tmp_path_factory):
    need("openssl")
    return Seen(tmp_path_factory.mktemp("tsa"))


@pytest.fixture
def sign(signing, people, authority):
    """The image's signature with a timestamp; *of* changes what it is a timestamp of."""

    def call(of=lambda value: value, oid=OID, change=lambda token: token, **options):
        def added(value):
            return signing.der(0x30, oid, signing.der(0x31, change(authority.token(of(value), **options))))

        return signing.sign_image(hashlib.sha256(IMAGE[2:]).digest(), people.signer, (people.authority,), added=added)

    return call


def signed_by(signature):
    made = FakeAuthenticode()
    made.signed[IMAGE] = (signature,)
    return made


def moments(signature, *trusted):
    return list(timestamp.moments(SignedData.decode(signature), trusted))


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
@pytest.mark.parametrize("trusted", ["root", "tsa"])
def test_a_timestamp_of_openssls(sign, authority, digest, trusted):
    (moment,) = moments(sign(digest=digest, signer_digest=digest), authority.certificate(trusted))
    assert (2024, 1, 1, 0, 0, 0) < moment < (2100, 1, 1, 0, 0, 0)


def test_what_says_nothing(sign, authority, people):
    trusted = authority.certificate()
    assert moments(sign(), people.stranger.certificate) == []
    assert moments(sign()) == []
    assert moments(sign(of=lambda value: value + b"!"), trusted) == []
    assert moments(sign(oid=bytes.fromhex("060a2b060104018237030302")), trusted) == []
    assert moments(sign(certificates=False), trusted) == []
    # The last byte is of the token's signature.
    assert moments(sign(change=lambda token: token[:-1] + bytes([token[-1] ^ 1])), trusted) == []
    assert moments(sign(change=lambda _token: b"\5\0"), trusted) == []
    # Old digests are none that would be believed.
    assert moments(sign(signer_digest="sha1"), trusted) == []


def test_there_is_an_end_to_timestamps(signing, people, authority):
    attribute = signing.der(0x30, OID, signing.der(0x31, b"\5\0"))
    many = signing.sign_image(bytes(32), people.signer, added=lambda _: attribute * 1000)
    assert moments(many, authority.certificate()) == []


@pytest.mark.parametrize(
    ("since", "dbt", "allowed"),
    [
        ((2100, 1, 1), "root", True), ((2100, 1, 1), None, False), ((2001, 1, 1), "root", False),
        ((0, 0, 0), "root", False), ((2100, 1, 1), "other", False),
    ],
)  # fmt: skip
def test_a_certificate_that_is_revoked_from_some_time_on(sign, authority, people, since, dbt, allowed):
    """Section 32.5.3.3: what was signed before that stays allowed, if somebody trusted says so."""
    digest = people.signer.tbs_digest() + struct.pack("<HBB12x", *since)
    dbx = signature_list.pack([Signature(CERT_X509_SHA256, signature_list.NOBODY, digest)])
    lists = {"root": authority.listed(), "other": people.stranger.listed, None: b""}
    signature = sign()
    judge = Judge(IMAGE, signed_by(signature), people.authority.listed, dbx, lists[dbt])
    assert judge.decide().allowed is allowed


def test_an_authority_that_is_revoked_from_some_time_on(sign, authority, people):
    digest = people.authority.tbs_digest() + struct.pack("<HBB12x", 2100, 1, 1)
    dbx = signature_list.pack([Signature(CERT_X509_SHA256, signature_list.NOBODY, digest)])
    judge = Judge(IMAGE, signed_by(sign()), people.authority.listed, dbx, authority.listed())
    assert judge.decide().allowed
