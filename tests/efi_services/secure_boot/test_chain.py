import pytest

from efi_services.secure_boot.chain import issued_by, issuers, leads_to, load


def names(reached):
    return {certificate.subject.rfc4514_string().removeprefix("CN="): depth for certificate, depth in reached.items()}


def test_from_the_signer_upwards(people):
    others = [each.certificate for each in (people.stranger, people.root, people.other, people.authority)]
    reached = issuers(people.signer.certificate, others)
    assert names(reached) == {"Signer": 0, "Authority": 1, "Root": 2}
    assert names(issuers(people.signer.certificate, [people.root.certificate])) == {"Signer": 0}


def test_what_is_trusted_may_stand_anywhere_in_the_chain(people):
    reached = issuers(people.signer.certificate, [people.authority.certificate])
    for each in (people.signer, people.authority, people.root):
        assert leads_to(reached, each.certificate)
    for each in (people.other, people.stranger):
        assert not leads_to(reached, each.certificate)
    # Without the authority's certificate nothing tells of the root.
    assert not leads_to(issuers(people.signer.certificate, []), people.root.certificate)


def test_only_authorities_issue(signing, people):
    for options, may in (
        ({}, True),
        ({"authority": False}, False),
        ({"authority": None}, False),
        ({"authority": None, "usage": True}, True),
        ({"usage": False}, False),
        ({"usage": True}, True),
    ):
        issuer = signing.make("Issuer", people.root, **options)
        leaf = signing.make("Leaf", issuer, authority=False)
        assert issued_by(leaf.certificate, issuer.certificate) is may, options


def test_the_length_of_a_path(signing):
    top = signing.make("Top", path_length=0)
    middle = signing.make("Middle", top)
    leaf = signing.make("Leaf", middle, authority=False)
    reached = issuers(leaf.certificate, [middle.certificate])
    assert leads_to(reached, middle.certificate)
    assert not leads_to(reached, top.certificate)
    assert issued_by(middle.certificate, top.certificate)


def test_a_namesake_is_not_the_issuer(signing, people):
    impostor = signing.make("Authority", people.root)
    assert not issued_by(people.signer.certificate, impostor.certificate)
    reached = issuers(people.signer.certificate, [impostor.certificate, people.authority.certificate])
    assert impostor.certificate not in reached


def test_two_ways_to_the_top(signing, people):
    """Cross-signed: the same key under two roots."""
    second = signing.make("Second root")
    twin = type(people.authority)(_resigned(signing, people.authority, second), people.authority.key)
    reached = issuers(people.signer.certificate, [people.authority.certificate, twin.certificate])
    assert leads_to(reached, people.root.certificate)
    assert leads_to(reached, second.certificate)


def _resigned(signing, authority, issuer):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    old = authority.certificate
    builder = x509.CertificateBuilder(
        issuer_name=issuer.certificate.subject, subject_name=old.subject, public_key=old.public_key(),
        serial_number=7, not_valid_before=old.not_valid_before_utc, not_valid_after=old.not_valid_after_utc,
        extensions=list(old.extensions),
    )  # fmt: skip
    return builder.sign(issuer.key, hashes.SHA256())


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"no certificate"])
def test_what_is_no_certificate(data):
    with pytest.raises(ValueError, match=r"."):
        load(data)


def test_one_with_something_behind_it(people):
    with pytest.raises(ValueError, match=r"."):
        load(people.root.der + b"\0")
