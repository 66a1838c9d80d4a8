import struct
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from efi_services.tcg.algorithms import Algorithm
from shim.errors import DiffersError, UnreadableError, UsageError
from shim.measure.attest import Quote, quote, read, verify
from shim.measure.formats.selection import spelled

SHA1, SHA256, SHA384, SHA512 = Algorithm
NONCE = bytes.fromhex("deadbeefcafe")
ECC = ec.derive_private_key(0x1234567, ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
KEYS = {"ecc": ECC, "rsa": RSA}
CHOSEN = {SHA256: (4, 5, 7, 9), SHA384: (4,)}
KNOWN = {index: {each: bytes([index]) * each.size for each in (SHA256, SHA384)} for index in range(24)}


@pytest.fixture(params=KEYS)
def key(request):
    return KEYS[request.param]


def pcrs_file(registers, selection):
    """PCR values as tpm2-tools keep them beside a quote: TPML_PCR_SELECTION and TPML_DIGESTs, as C has them."""
    banks = b"".join(
        struct.pack("<HB4sx", bank.number, 3, sum(1 << each for each in pcrs).to_bytes(4, "little"))
        for bank, pcrs in selection.items()
    )
    selected = (struct.pack("<I", len(selection)) + banks).ljust(4 + 16 * 8, b"\0")
    values = [registers[each][bank] for bank, pcrs in selection.items() for each in sorted(pcrs)]
    lists = [values[at : at + 8] for at in range(0, len(values), 8)]
    body = b"".join(
        (struct.pack("<I", len(part)) + b"".join(struct.pack("<H64s", len(each), each) for each in part)).ljust(
            532, b"\0"
        )
        for part in lists
    )
    return selected + struct.pack("<I", len(lists)) + body


def public_file(folder, key):
    encoded = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pem").write_bytes(encoded)


def test_a_quote_is_verified_by_what_it_was_made_for(key):
    made = quote(KNOWN, CHOSEN, key, qualifying=NONCE, signer=b"name")
    found = verify(made, key.public_key(), KNOWN, CHOSEN, qualifying=NONCE)
    assert (found.signer, found.qualifying, found.selection) == (b"name", NONCE, CHOSEN)


@pytest.mark.parametrize("algorithm", [SHA384, SHA512])
def test_a_longer_digest_may_be_signed(algorithm, key):
    made = quote(KNOWN, CHOSEN, key, algorithm=algorithm)
    assert len(verify(made, key.public_key(), KNOWN, CHOSEN, qualifying=b"").digest) == algorithm.size


def test_the_banks_may_be_in_another_order():
    turned = dict(reversed(CHOSEN.items()))
    verify(quote(KNOWN, turned, ECC), ECC.public_key(), KNOWN, CHOSEN, qualifying=b"")


def test_tpm2_checkquote_accepts_our_quote(key, boots, tools):
    registers = boots().registers()
    made = quote(registers, CHOSEN, key, qualifying=NONCE)
    (tools.folder / "message").write_bytes(made.message)
    (tools.folder / "signature").write_bytes(made.signature)
    public_file(tools.folder, key)
    arguments = ("-u", "key.pem", "-m", "message", "-s", "signature", "-f", "pcrs", "-g", "sha256", "-q", NONCE.hex())
    (tools.folder / "pcrs").write_bytes(pcrs_file(registers, CHOSEN))
    said = tools("tpm2_checkquote", *arguments)
    assert registers[9][SHA256].hex() in said.lower()
    registers[9] = {**registers[9], SHA256: bytes(32)}
    (tools.folder / "pcrs").write_bytes(pcrs_file(registers, CHOSEN))
    with pytest.raises(AssertionError, match="tpm2_checkquote"):
        tools("tpm2_checkquote", *arguments)


@pytest.mark.parametrize(("kind", "scheme"), [("ecc", "ecdsa"), ("rsa", "rsassa"), ("rsa", "rsapss")])
def test_the_quote_of_a_tpm_is_verified_over_what_the_model_says(kind, scheme, boots, swtpm, extend):
    pcrs = boots()
    extend(swtpm, pcrs)
    swtpm("tpm2_createek", "-c", "ek.ctx", "-G", kind, "-u", "ek.pub")
    swtpm("tpm2_flushcontext", "-t")
    ak = ("-u", "ak.pem", "-f", "pem", "-n", "ak.name")
    swtpm("tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", kind, "-g", "sha256", "-s", scheme, *ak)
    swtpm("tpm2_flushcontext", "-t")
    files = ("-m", "message", "-s", "signature", "-o", "pcrs")
    swtpm(
        "tpm2_quote",
        "-c",
        "ak.ctx",
        "-l",
        spelled(CHOSEN),
        "-q",
        NONCE.hex(),
        *files,
        "-g",
        "sha256",
        "--scheme",
        scheme,
    )
    key = serialization.load_pem_public_key((swtpm.folder / "ak.pem").read_bytes())
    made = Quote((swtpm.folder / "message").read_bytes(), (swtpm.folder / "signature").read_bytes())
    found = verify(made, key, pcrs.registers(), CHOSEN, qualifying=NONCE)
    assert found.selection == CHOSEN
    assert len(found.signer) == 34
    other = boots(cmdline="debug").registers()
    with pytest.raises(DiffersError, match="other values"):
        verify(made, key, other, CHOSEN, qualifying=NONCE)


def test_what_a_quote_is_not_about(key):
    made = quote(KNOWN, CHOSEN, key, qualifying=NONCE)
    public = key.public_key()
    with pytest.raises(DiffersError, match="other data"):
        verify(made, public, KNOWN, CHOSEN, qualifying=b"new")
    with pytest.raises(DiffersError, match=r"about sha256:4,5,7,9\+sha384:4, not sha256:4"):
        verify(made, public, KNOWN, {SHA256: (4,)}, qualifying=NONCE)
    with pytest.raises(DiffersError, match="other values"):
        verify(made, public, {**KNOWN, 9: {SHA256: bytes(32)}}, CHOSEN, qualifying=NONCE)


def test_another_key_has_not_signed_it(key):
    made = quote(KNOWN, CHOSEN, key)
    with pytest.raises(DiffersError, match="not one of this key"):
        verify(made, (RSA if key is ECC else ECC).public_key(), KNOWN, CHOSEN, qualifying=b"")
    if key is ECC:
        other = ec.derive_private_key(7, ec.SECP256R1())
        with pytest.raises(DiffersError, match="not signed"):
            verify(made, other.public_key(), KNOWN, CHOSEN, qualifying=b"")


def test_a_quote_of_no_pcr_proves_nothing():
    with pytest.raises(UsageError, match="no PCR"):
        quote(KNOWN, {SHA256: ()}, ECC)
    made = quote(KNOWN, CHOSEN, ECC)
    with pytest.raises(UsageError, match="no PCR"):
        verify(made, ECC.public_key(), KNOWN, {}, qualifying=b"")
    with pytest.raises(UsageError, match="PCR 4 of sha512"):
        quote(KNOWN, {SHA512: (4,)}, ECC)


def test_sha1_is_not_accepted(key):
    with pytest.raises(UsageError, match="sha1"):
        quote(KNOWN, CHOSEN, key, algorithm=SHA1)
    made = quote(KNOWN, CHOSEN, key)
    weak = replace(made, signature=made.signature[:2] + struct.pack(">H", SHA1.number) + made.signature[4:])
    with pytest.raises(UnreadableError, match="0x4"):
        verify(weak, key.public_key(), KNOWN, CHOSEN, qualifying=b"")


def signed(message):
    """A message signed as it is."""
    signature = RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return Quote(message, struct.pack(">HHH", 0x14, SHA256.number, len(signature)) + signature)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"", "cut off"),
        (bytes(200), "no quote"),
        (struct.pack(">IH", 0xFF544347, 0x8017), "no quote"),
        (struct.pack(">IHH", 0xFF544347, 0x8018, 0xFFFF), "65535 bytes"),
        (struct.pack(">IHHH25sI", 0xFF544347, 0x8018, 0, 0, bytes(25), 99), "99 banks"),
        (struct.pack(">IHHH25sIHB4s", 0xFF544347, 0x8018, 0, 0, bytes(25), 1, 11, 4, b"\0\0\0\1"), "not known"),
        (struct.pack(">IHHH25sIHB", 0xFF544347, 0x8018, 0, 0, bytes(25), 1, 0x12, 0), "0x12"),
        (quote(KNOWN, CHOSEN, RSA).message + b"x", "1 bytes follow"),
    ],
)
def test_what_is_signed_and_no_quote(message, why):
    with pytest.raises(UnreadableError, match=why):
        verify(signed(message), RSA.public_key(), KNOWN, CHOSEN, qualifying=b"")


@given(st.data())
@settings(deadline=None)
def test_a_changed_quote_is_never_accepted(data):
    made = quote(KNOWN, CHOSEN, ECC, qualifying=NONCE)
    parts = [bytearray(made.message), bytearray(made.signature)]
    part = data.draw(st.sampled_from(parts))
    part[data.draw(st.integers(0, len(part) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((DiffersError, UnreadableError)):
        verify(Quote(*map(bytes, parts)), ECC.public_key(), KNOWN, CHOSEN, qualifying=NONCE)


@given(st.binary(max_size=200), st.binary(max_size=100))
def test_any_bytes_are_no_quote(message, signature):
    with pytest.raises((DiffersError, UnreadableError)):
        verify(Quote(message, signature), ECC.public_key(), KNOWN, CHOSEN, qualifying=b"")


def test_a_message_is_read_without_its_signature():
    assert read(quote(KNOWN, CHOSEN, ECC).message).selection == CHOSEN
