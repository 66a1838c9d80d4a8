"""Keys of Secure Boot from wherever a platform has them."""

import base64
import datetime
import hashlib
import json
import struct

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from virt.firmware.efi.efivar import EfiVarList
from virt.firmware.varstore.jstore import JsonVarStore

from efi_services.secure_boot import keys
from efi_services.secure_boot.modes import Mode
from efi_services.secure_boot.signature_list import CERT_SHA256, CERT_X509, Signature, pack
from efi_services.tcg.events import variable_data
from efi_services.types import Guid
from shim.config.platform import load_platform
from shim.config.secure_boot import known_certificate, read_signatures
from shim.errors import UnreadableError, UsageError
from shim.session.build import build

ME = Guid(int=5)
DIGEST = Signature(CERT_SHA256, ME, b"d" * 32)


def certificate(name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, start, start)
    return builder.sign(key, hashes.SHA256())


@pytest.fixture(scope="module")
def made():
    return [certificate(name) for name in ("one", "two")]


@pytest.fixture
def load(tmp_path):
    def read(text):
        path = tmp_path / "platform.toml"
        path.write_text(f'name = "test"\n{text}\n')
        return load_platform(str(path))

    return read


def ders(platform, name="db"):
    return [each.data for key in getattr(platform.secure_boot, name) for each in key.signatures]


def test_every_form_of_a_file(load, made, tmp_path):
    one, two = (each.public_bytes(Encoding.DER) for each in made)
    lists = pack([DIGEST, Signature(CERT_X509, ME, two)])
    descriptor = bytes(16) + struct.pack("<IHH", 24 + 9, 0x200, 0xEF1)
    auth = descriptor + Guid("4aafd29d-68df-49ee-8aa9-347d375665a7").bytes_le + b"signature" + lists
    for name, content, expected in (
        ("two.pem", b"".join(each.public_bytes(Encoding.PEM) for each in made), [one, two]),
        ("one.der", one, [one]),
        ("db.esl", lists, [DIGEST.data, two]),
        ("db.auth", auth, [DIGEST.data, two]),
    ):
        (tmp_path / name).write_bytes(content)
        platform = load(f'[[secure_boot.db]]\nfile = "{name}"\nowner = "{ME}"')
        assert ders(platform) == expected
        assert {each.owner for key in platform.secure_boot.db for each in key.signatures} == {ME}
        # The platform of a run folder is complete by itself.
        (tmp_path / name).unlink()
        (tmp_path / "again.toml").write_text(platform.toml)
        again = load_platform(str(tmp_path / "again.toml"))
        assert (again.secure_boot.databases, again.sha256) == (platform.secure_boot.databases, platform.sha256)


def test_digests_and_known_certificates(load):
    platform = load(
        f'[[secure_boot.dbx]]\nsha256 = "{DIGEST.data.hex()}"\nowner = "{ME}"\n'
        '[[secure_boot.db]]\nknown = "microsoft.com/ms-uefi-2023"'
    )
    assert platform.secure_boot.databases["dbx"] == pack([DIGEST])
    (der,) = ders(platform)
    name = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    assert name == "CN=Microsoft UEFI CA 2023,O=Microsoft Corporation,C=US"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", Mode.SETUP),
        ("mode = 'audit'", Mode.AUDIT),
        ("[[secure_boot.pk]]\nknown = 'microsoft.com/ms-oem-pk-2023'", Mode.USER),
        ("mode = 'deployed'\n[[secure_boot.pk]]\nknown = 'microsoft.com/ms-oem-pk-2023'", Mode.DEPLOYED),
    ],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_what_the_firmware_gets(load, text, mode, enabled):
    platform = load(f"[secure_boot]\nenabled = {str(enabled).lower()}\n{text}")
    _, firmware = build(platform)
    values = {(each.name, each.vendor): each.data for each in firmware.variables}
    assert (firmware.secure_boot.mode, firmware.secure_boot.enforcing) == (mode, enabled)
    vendor = keys.PK[1]
    on = enabled and mode.has_platform_key
    assert values["SecureBoot", vendor] == bytes([on])
    assert values["SetupMode", vendor] == bytes([not mode.has_platform_key])
    assert (keys.PK in values) is mode.has_platform_key
    assert values.get(keys.PK) == values.get(("PKDefault", vendor))


def test_the_ready_one():
    platform = load_platform("q35-secure")
    _, firmware = build(platform)
    assert firmware.secure_boot.enforcing
    assert firmware.tpm is not None
    names = [x509.load_der_x509_certificate(each).subject.rfc4514_string() for each in ders(platform)]
    assert names[-1] == "CN=Debian Secure Boot CA"
    assert len(names) == 5


def test_what_is_measured_for_microsofts_authority_is_what_real_machines_measure():
    """The digest of EV_EFI_VARIABLE_AUTHORITY for Microsoft's UEFI CA of 2011, as many logs of PCs have it."""
    signatures = [each for key in load_platform("q35-secure").secure_boot.db for each in key.signatures]
    digests = [hashlib.sha256(variable_data(keys.DB[1], "db", each.packed)).hexdigest() for each in signatures]
    assert "4d4a8e2c74133bbdc01a16eaf2dbb5d575afeb36f5d8dfcf609ae043909e2ee9" in digests


def test_a_variable_store_of_virt_firmware(load, made, tmp_path):
    held = EfiVarList()
    for name, each in zip(("PK", "KEK", "db"), (made[0], made[1], made[1]), strict=True):
        held.add_cert(name, str(ME), _file(tmp_path, each), True)
    JsonVarStore.write_varstore(str(tmp_path / "keys.json"), held)
    platform = load('[secure_boot]\nvarstore = "keys.json"')
    assert platform.secure_boot.state is Mode.USER
    assert ders(platform, "pk") == [made[0].public_bytes(Encoding.DER)]
    assert ders(platform, "db") == ders(platform, "kek") == [made[1].public_bytes(Encoding.DER)]
    with pytest.raises(UsageError, match=r"secure_boot.db is in keys.json already"):
        load('[secure_boot]\nvarstore = "keys.json"\n[[secure_boot.db]]\nknown = "debian.org/debian-2016"')


def _file(folder, certificate):
    path = folder / f"{certificate.subject.rfc4514_string()}.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return str(path)


@pytest.mark.parametrize("content", [b"", b"nothing", json.dumps({"version": 1}).encode(), bytes(4096)])
def test_what_is_no_variable_store(load, tmp_path, content):
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(
        UsageError, match=r"no variable store that virt-firmware can read|a variable store without keys"
    ):
        load('[secure_boot]\nvarstore = "keys"')


def test_files_that_are_not_there(load):
    for text in ('varstore = "gone"', '[[secure_boot.db]]\nfile = "gone"'):
        with pytest.raises(UnreadableError, match="gone"):
            load(f"[secure_boot]\n{text}")


ONE = "known = 'debian.org/debian-2016'"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[secure_boot.db]]", "give one of"),
        (f"[[secure_boot.db]]\n{ONE}\nsha256 = '{'00' * 32}'", "give one of"),
        ("[[secure_boot.db]]\nsha256 = '00'", r"secure_boot\.db\.0\.sha256"),
        ("[[secure_boot.db]]\ndata = 'xx'", "not hexadecimal"),
        ("[[secure_boot.db]]\ndata = ''", "there are no keys"),
        ("[[secure_boot.db]]\ndata = '3000'", "no certificate"),
        ("[[secure_boot.db]]\ndata = '0102'", "cut off"),
        ("[[secure_boot.db]]\nknown = 'nobody.org/key'", "virt-firmware brings no certificate nobody.org/key"),
        ("[[secure_boot.db]]\nknown = '../../../../etc/passwd'", r"secure_boot\.db\.0\.known"),
        ("[[secure_boot.db]]\nknown = '../x'", "brings no certificate"),
        (f"[[secure_boot.pk]]\n{ONE}\n[[secure_boot.pk]]\n{ONE}", "a platform key is one certificate"),
        (f"[[secure_boot.pk]]\nsha256 = '{'00' * 32}'", "a platform key is one certificate"),
        ("[secure_boot]\nmode = 'user'", "in user mode there is a platform key"),
        (f"[secure_boot]\nmode = 'audit'\n[[secure_boot.pk]]\n{ONE}", "in audit mode there is no platform key"),
        ("[secure_boot]\nmode = 'other'", r"secure_boot\.mode"),
        ("[secure_boot]\npolicy = 'maybe'", r"secure_boot\.policy"),
        ("[secure_boot]\ndb = 5", r"secure_boot\.db"),
        ("[secure_boot]\nvarstore = 5", r"secure_boot\.varstore"),
        ("secure_boot = 5", r"secure_boot"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(load, text, why):
    with pytest.raises(UsageError, match=why) as refused:
        load(text)
    assert "\n" not in str(refused.value)


def test_a_certificate_of_a_version_that_there_is_not():
    known = x509.load_pem_x509_certificate(known_certificate("debian.org/debian-2016"))
    der = known.public_bytes(Encoding.DER)
    version = b"\xa0\x03\x02\x01"
    assert version in der[:32]
    text = base64.encodebytes(der.replace(version + b"\x02", version + b"\x35", 1)).decode()
    content = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n".encode()
    with pytest.raises(ValueError, match="no certificates in PEM: 53 is not a valid X509 version"):
        read_signatures(content, ME)
