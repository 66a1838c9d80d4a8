"""What db allows and dbx forbids (section 32.5.3)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.secure_boot.signature_list import (
    CERT_SHA256,
    CERT_SHA384,
    CERT_SHA512,
    CERT_X509_SHA256,
    CERT_X509_SHA384,
    CERT_X509_SHA512,
    Signature,
    pack,
)
from efi_services.secure_boot.verification import Action, Judge
from efi_services.types import Guid

IMAGE = b"the image"
ME = Guid(int=1)
DIGESTS = {CERT_SHA256: "sha256", CERT_SHA384: "sha384", CERT_SHA512: "sha512"}
REVOKED = {CERT_X509_SHA256: "sha256", CERT_X509_SHA384: "sha384", CERT_X509_SHA512: "sha512"}


class Authenticode:
    """An image's digest is that of its bytes."""

    def __init__(self, signatures):
        self._signatures = signatures

    def digest(self, image, algorithm):
        return hashlib.new(algorithm, image).digest()

    def signatures(self, _image):
        if isinstance(self._signatures, ValueError):
            raise self._signatures
        return self._signatures


def listed(kind=CERT_SHA256, image=IMAGE):
    return pack([Signature(kind, ME, hashlib.new(DIGESTS[kind], image).digest())])


def revoked(signer, kind=CERT_X509_SHA256, when=bytes(16)):
    return pack([Signature(kind, ME, signer.tbs_digest(REVOKED[kind]) + when)])


@pytest.fixture
def sign(signing, people):
    """A signature of the image."""

    def call(signer=people.signer, others=(people.authority,), algorithm="sha256", image=IMAGE, **changes):
        digest = hashlib.new(algorithm, image).digest()
        return signing.sign_image(digest, signer, others, algorithm, **changes)

    return call


def decide(*signatures, db=b"", dbx=b"", image=IMAGE):
    return Judge(image, Authenticode(signatures or None), db, dbx).decide()


def test_unsigned():
    verdict = decide()
    assert (verdict.action, verdict.allowed) == (Action.SIG_NOT_FOUND, False)
    assert verdict.reason == "it is not signed, and db doesn't list its digest"
    assert verdict.digest.data == hashlib.sha256(IMAGE).digest()


@pytest.mark.parametrize("kind", DIGESTS)
def test_by_its_digest(kind, sign):
    for signatures in ((), (sign(),), (b"no signature",)):
        verdict = decide(*signatures, db=listed(kind))
        assert verdict.allowed
        assert verdict.reason == f"db lists its {DIGESTS[kind]} digest"
        assert pack([verdict.authority]) == listed(kind)
        assert not decide(*signatures, db=listed(kind, b"another")).allowed
        forbidden = decide(*signatures, db=listed(CERT_SHA256), dbx=listed(kind))
        assert (forbidden.action, forbidden.reason) == (Action.SIG_FOUND, f"dbx lists its {DIGESTS[kind]} digest")


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_by_a_certificate_of_its_chain(sign, people, algorithm):
    for anchor in (people.signer, people.authority, people.root):
        verdict = decide(sign(algorithm=algorithm), db=listed(CERT_SHA512, b"another") + anchor.listed)
        assert verdict.allowed
        assert verdict.authority == anchor.signature
        assert verdict.reason == (f"db has {anchor.certificate.subject.rfc4514_string()}, which vouches for it")
    verdict = decide(sign(algorithm=algorithm), db=people.stranger.listed + people.other.listed)
    assert (verdict.action, verdict.allowed) == (Action.SIG_NOT_FOUND, False)
    assert verdict.reason == "db has nothing that vouches for CN=Signer, who signed it"


def test_the_first_entry_that_vouches_is_the_authority(sign, people):
    verdict = decide(sign(), db=people.root.listed + people.authority.listed)
    assert verdict.authority == people.root.signature


def test_a_chain_with_a_gap_leads_nowhere(sign, people):
    assert not decide(sign(others=()), db=people.root.listed).allowed
    assert decide(sign(others=()), db=people.authority.listed).allowed


def test_what_was_changed_after_it_was_signed(sign, people):
    verdict = decide(sign(image=b"the original"), db=people.root.listed)
    assert not verdict.allowed
    assert verdict.reason == "it is not what was signed: its digest is another"


def test_a_wrong_signature(sign, signing, people):
    forged = sign(signer=type(people.signer)(people.signer.certificate, people.stranger.key))
    verdict = decide(forged, db=people.root.listed)
    assert (verdict.allowed, verdict.reason) == (False, "the signature is wrong")


@pytest.mark.parametrize("kind", REVOKED)
@pytest.mark.parametrize("when", [bytes(16), bytes.fromhex("e4070101" + "00" * 12)])
def test_a_certificate_that_dbx_names_by_its_digest(sign, people, kind, when):
    db = people.root.listed
    for each in (people.signer, people.authority, people.root):
        verdict = decide(sign(), db=db, dbx=revoked(each, kind, when))
        assert verdict.action is Action.SIG_FAILED
        assert verdict.reason == (f"dbx forbids {each.certificate.subject.rfc4514_string()}, with which it is signed")
    assert decide(sign(), db=db, dbx=revoked(people.other, kind, when)).allowed


def test_a_certificate_in_dbx(sign, people):
    db = people.root.listed + listed()
    for each in (people.signer, people.authority, people.root):
        verdict = decide(sign(), db=db, dbx=each.listed)
        assert (verdict.action, verdict.allowed) == (Action.SIG_FAILED, False)
    assert decide(sign(), db=db, dbx=people.other.listed).allowed


def test_several_signatures(sign, people):
    good, unknown = sign(), sign(signer=people.stranger, others=())
    changed = sign(image=b"the original")
    for order in ((good, unknown, changed), (changed, unknown, good)):
        assert decide(*order, db=people.root.listed).authority == people.root.signature
    # One that is forbidden is enough; what isn't a signature of this image forbids nothing.
    assert not decide(good, unknown, db=people.root.listed, dbx=people.stranger.listed).allowed
    elsewhere = sign(signer=people.stranger, others=(), image=b"the original")
    assert decide(good, elsewhere, db=people.root.listed, dbx=people.stranger.listed).allowed
    verdict = decide(unknown, changed, db=people.root.listed)
    assert verdict.reason == (
        "db has nothing that vouches for CN=Stranger, who signed it; it is not what was signed: its digest is another"
    )


def test_all_signers_of_a_signature_count(sign, people):
    assert decide(sign(signers=2), db=people.root.listed).allowed


def test_what_cannot_be_looked_at():
    verdict = Judge(IMAGE, Authenticode(ValueError("damaged")), listed(), b"").decide()
    assert (verdict.allowed, verdict.reason, verdict.digest) == (False, "it can't be verified: damaged", None)


def test_a_table_with_nothing_that_is_known():
    verdict = Judge(IMAGE, Authenticode(()), b"", b"").decide()
    assert verdict.reason == "it has no signature of a kind that firmware knows"


def test_a_name_cannot_steer_a_terminal(signing, sign):
    rude = signing.make("\x1b]0;rude\x07\n" + "x" * 40)
    reason = decide(sign(signer=rude, others=())).reason
    assert reason.isprintable()
    assert "rude" in reason


@given(st.binary(max_size=200), st.integers(0, 2000), st.integers(1, 255))
def test_a_damaged_signature_allows_nothing(signing, people, data, at, flip):
    good = signing.sign_image(hashlib.sha256(IMAGE).digest(), people.signer, (people.authority,))
    changed = bytearray(good)
    changed[at % len(good)] ^= flip
    for each in (data, good[: at % len(good)], good[:-1] + data):
        # The same with padding behind it is no damage.
        if not each.startswith(good):
            assert not decide(each, db=people.root.listed).allowed
    # A byte may be of no consequence, as in the certificates that lead nowhere; but nothing else gets by.
    verdict = decide(bytes(changed), db=people.root.listed, image=b"another image")
    assert not verdict.allowed
