import hashlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.secure_boot.signed_data import DATA, SPC_INDIRECT_DATA, SignedData

DIGEST = hashlib.sha256(b"image").digest()


def subjects(chains):
    return [[each.subject.rfc4514_string() for each in reached] for reached in chains]


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_signature_of_data(signing, people, bare, algorithm):
    made = signing.sign_data(b"data", people.signer, [people.authority], algorithm, bare=bare)
    signed = SignedData.decode(made + bytes(7))
    assert (signed.content_type, signed.content, signed.digest_algorithms) == (DATA, None, (algorithm,))
    assert subjects(signed.verified(b"data")) == [["CN=Signer", "CN=Authority"]]
    with pytest.raises(ValueError, match="the signature is wrong"):
        signed.verified(b"date")
    with pytest.raises(ValueError, match="nothing to sign"):
        signed.verified()
    with pytest.raises(ValueError, match="sign an image"):
        _ = signed.image_digest


@pytest.mark.parametrize("name", ["signer", "other"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("changes", [{}, {"attributes": b""}])
def test_a_signature_of_an_image(signing, people, name, algorithm, changes):
    signer = getattr(people, name)
    signed = SignedData.decode(signing.sign_image(DIGEST, signer, [people.authority], algorithm, **changes))
    assert signed.content_type == SPC_INDIRECT_DATA
    assert signed.image_digest == (algorithm, DIGEST)
    assert subjects(signed.verified()) == [[f"CN={name.title()}", "CN=Authority"]]


def test_a_third_partys_signature(signing, people, need, tmp_path):
    """OpenSSL's, with the attributes that it adds of its own accord."""
    from cryptography.hazmat.primitives import serialization as form

    need("openssl")
    key = people.other.key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "certificate").write_bytes(people.other.certificate.public_bytes(form.Encoding.PEM))
    (tmp_path / "data").write_bytes(b"data")
    words = "openssl smime -sign -binary -outform DER -md sha384 -signer certificate -inkey key -in data -out signed"
    subprocess.run(words.split(), cwd=tmp_path, check=True)
    signed = SignedData.decode((tmp_path / "signed").read_bytes())
    assert subjects(signed.verified(b"data")) == [["CN=Other"]]
    with pytest.raises(ValueError, match="of other content"):
        signed.verified(b"date")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"certificates": ()}, "the signer's certificate is missing"),
        ({"message_digest": bytes(32)}, "of other content"),
        ({"attribute_type": "06092a864886f70d010701"}, "of another type of content"),
        ({"attributes": b"\x30\x00"}, r"."),
        ({"attributes": bytes.fromhex("300f06092a864886f70d0109033102 0500".replace(" ", ""))}, "doesn't say what"),
    ],
)
def test_what_is_not_verified(signing, people, changes, why):
    signed = SignedData.decode(signing.sign_image(DIGEST, people.signer, **changes))
    with pytest.raises(ValueError, match=why):
        signed.verified()


def test_a_namesakes_certificate_does_not_verify(signing, people):
    namesake = signing.make("Signer", people.authority)
    made = signing.sign_image(DIGEST, people.signer, certificates=(namesake,))
    with pytest.raises(ValueError, match="missing"):
        SignedData.decode(made).verified()


def test_every_signer_counts(signing, people):
    made = signing.sign_image(DIGEST, people.signer, signers=2)
    assert len(SignedData.decode(made).verified()) == 2


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"signers": 0}, "0 signers"),
        ({"signers": 9}, "9 signers"),
    ],
)
def test_what_is_not_decoded(signing, people, changes, why):
    with pytest.raises(ValueError, match=why):
        SignedData.decode(signing.sign_image(DIGEST, people.signer, **changes))


def test_too_many_certificates(signing, people):
    made = signing.sign_image(DIGEST, people.signer, certificates=[people.signer] * 33)
    with pytest.raises(ValueError, match="33 certificates"):
        SignedData.decode(made)


def test_an_old_digest_is_none(signing, people):
    made = signing.sign_image(hashlib.sha1(b"image").digest(), people.other, algorithm="sha1")
    signed = SignedData.decode(made)
    for look in (lambda: signed.image_digest, lambda: signed.digest_algorithms, signed.verified):
        with pytest.raises(ValueError, match=r"1\.3\.14\.3\.2\.26 is none of"):
            look()


@pytest.mark.parametrize("content", [b"", b"\5\0", b"\x30\x00\x30\x00"])
def test_content_that_is_no_image(signing, people, content):
    signed = SignedData.decode(signing.sign_image(DIGEST, people.signer, content=content))
    with pytest.raises(ValueError, match="sign an image"):
        _ = signed.image_digest


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 20, -1, -9])
def test_truncated(signing, people, cut):
    made = signing.sign_image(DIGEST, people.signer)
    with pytest.raises(ValueError, match="no PKCS #7 SignedData"):
        SignedData.decode(made[:cut])


def test_too_much_behind_it(signing, people):
    with pytest.raises(ValueError, match="an element of"):
        SignedData.decode(signing.sign_image(DIGEST, people.signer) + bytes(8))


def test_no_byte_can_be_changed_unnoticed(signing, people):
    """Each byte of a signature, flipped: it is refused, or still proves the same thing by the same signer."""
    made = signing.sign_image(DIGEST, people.signer)
    for at in range(len(made)):
        changed = bytearray(made)
        changed[at] ^= 0x21
        try:
            signed = SignedData.decode(bytes(changed))
            chains, told = signed.verified(), signed.image_digest
        except ValueError:
            continue
        assert told == ("sha256", DIGEST), at
        assert next(iter(chains[0])).public_key() == people.signer.key.public_key(), at


@given(st.binary(max_size=300))
def test_anything_is_decoded_or_refused(data):
    for each in (data, b"\x30\x82" + len(data).to_bytes(2, "big") + data):
        with pytest.raises(ValueError, match=r"."):
            SignedData.decode(each)
