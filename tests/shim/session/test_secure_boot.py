"""Secure Boot from end to end: programs that are signed at test time, and what Debian and Microsoft have signed.

sbverify, of Debian's sbsigntool, judges the same files: it looks at digests and signatures and knows no dbx. It lets
any chain pass that ends with a certificate whose issuer isn't there, as Microsoft's do, so OpenSSL judges chains.
"""

import datetime
import json
import subprocess
from importlib import resources

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from cryptography.x509.oid import NameOID

from efi_services.secure_boot.signature_list import NOBODY, pack
from efi_services.secure_boot.verification import Judge
from payloads.certificates import signed_data
from payloads.pe import authenticode, read_image
from shim.config.secure_boot import known_certificate, read_signatures
from shim.tpm.authenticode import PeDigests
from ukis import as_kernel, extend

DEBIAN, OLD, NEW = "debian.org/debian-2016", "microsoft.com/ms-uefi-2011", "microsoft.com/ms-uefi-2023"
#: What is signed, by whom; and who has signed none of it.
SIGNED = {
    "debian:bookworm/cloud-amd64": (DEBIAN,),
    "debian:trixie/cloud-amd64": (DEBIAN,),
    "debian:trixie/cloud-arm64": (DEBIAN,),
    "debian:bookworm/grub-signed-amd64": (DEBIAN,),
    "debian:bookworm/shim-signed-amd64": (OLD, NEW),
}
ALL = (DEBIAN, OLD, NEW, "microsoft.com/windows-2023")


def make(folder, name):
    """A key and its certificate, as files."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), x509.random_serial_number(), start, start + datetime.timedelta(days=36500)
    )
    certificate = builder.sign(key, hashes.SHA256())
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, need):
    """Keys of two people, a program as it was built, and signed by each and by both."""
    need("sbsign")
    made = tmp_path_factory.mktemp("keys")
    for name in ("mine", "theirs"):
        make(made, name)
    program = resources.files("payloads") / "programs" / "built" / "hello-x86_64.efi"
    (made / "plain.efi").write_bytes(program.read_bytes())
    for source, name in (("plain", "mine"), ("plain", "theirs"), ("theirs", "both")):
        key = "mine" if name == "both" else name
        words = f"sbsign --key {key}.key --cert {key}.pem --output {name}.efi {source}.efi"
        subprocess.run(words.split(), cwd=made, check=True, capture_output=True)
    (made / "changed.efi").write_bytes(flip((made / "mine.efi").read_bytes()))
    return made


def flip(data):
    """One bit of the first section, changed."""
    at = read_image(data).sections[0].raw_offset + 7
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def sbverify(path, certificate):
    """What the third party says."""
    done = subprocess.run(["sbverify", "--cert", certificate, path], capture_output=True, check=False)
    return done.returncode == 0


def openssl_verify(folder, signature, certificate):
    """What OpenSSL says of the chain from the signer to a certificate, when it is told what firmware does."""
    signer, *others = pkcs7.load_der_pkcs7_certificates(signature)
    (folder / "signer.pem").write_bytes(signer.public_bytes(Encoding.PEM))
    (folder / "others.pem").write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in (signer, *others)))
    words = "openssl verify -partial_chain -no_check_time -untrusted others.pem -trusted"
    done = subprocess.run([*words.split(), certificate, "signer.pem"], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def start(command, folder, tmp_path):
    """Runs a program of the folder with keys; gives the exit code and what run.json says."""

    def call(name, keys):
        text = f'name = "keys"\n[[secure_boot.pk]]\nfile = "{folder}/mine.pem"\n{keys}'
        (tmp_path / "keys.toml").write_text(text.replace("FOLDER", str(folder)))
        out = f"run{len(list(tmp_path.glob('run*')))}"
        options = f"--platform keys.toml --json --trace calls --out {out}".split()
        done = command("run", folder / f"{name}.efi", *options)
        return done.code, json.loads(done.out)

    return call


MINE = '[[secure_boot.db]]\nfile = "FOLDER/mine.pem"\n'
REASONS = {
    "plain": "it is not signed, and db doesn't list its digest",
    "theirs": "db has nothing that vouches for CN=theirs, who signed it",
    "changed": "it is not what was signed: its digest is another",
}


@pytest.mark.parametrize("name", ["plain", "mine", "theirs", "both", "changed"])
def test_a_program_and_who_signed_it(start, folder, name):
    code, report = start(name, MINE)
    allowed = name in ("mine", "both")
    assert sbverify(folder / f"{name}.efi", folder / "mine.pem") is allowed
    assert [each["allowed"] for each in report["secure_boot"]["images"]] == [allowed]
    if allowed:
        assert (code, report["outcome"]["kind"], report["outcome"]["status"]) == (0, "returned", "EFI_SUCCESS")
        return
    assert code == 3
    assert report["outcome"] == {"kind": "refused", "status": "EFI_ACCESS_DENIED", "detail": REASONS[name]}
    assert report["calls"]["count"] == report["engine"]["blocks"] == 0


def test_by_digest(start, folder):
    digest = authenticode((folder / "plain.efi").read_bytes()).hex()
    for name in ("plain", "theirs"):
        # What is signed has the digest that it had before, since that leaves signatures out.
        assert start(name, f'[[secure_boot.db]]\nsha256 = "{digest}"')[0] == 0
    code, report = start("mine", f'{MINE}[[secure_boot.dbx]]\nsha256 = "{digest}"')
    assert (code, report["outcome"]["detail"]) == (3, "dbx lists its sha256 digest")


def test_revoked(start):
    code, report = start("both", f'{MINE}[[secure_boot.dbx]]\nfile = "FOLDER/theirs.pem"')
    assert (code, report["outcome"]["detail"]) == (3, "dbx forbids CN=theirs, with which it is signed")


def test_deferred(start):
    code, report = start("theirs", f'{MINE}[secure_boot]\npolicy = "defer"')
    assert (code, report["outcome"]["status"]) == (3, "EFI_SECURITY_VIOLATION")


def test_two_runs_are_equal(start):
    first, second = (start("mine", MINE)[1] for _ in range(2))
    assert first.pop("timing") != second.pop("timing")
    assert first == second


def judge(data, name):
    """Our verdict, with one certificate in db."""
    return Judge(data, PeDigests(), pack(read_signatures(known_certificate(name), NOBODY)), b"").decide()


@pytest.mark.kernel
@pytest.mark.parametrize("name", SIGNED)
def test_what_others_have_signed(kernel, need, tmp_path, name):
    need("sbverify")
    need("openssl")
    data = kernel(name).data
    for each in ALL:
        (tmp_path / "key.pem").write_bytes(known_certificate(each))
        signatures = [each[: int.from_bytes(each[2:4], "big") + 4] for each in signed_data(data)]
        chain = any(openssl_verify(tmp_path, signature, tmp_path / "key.pem") for signature in signatures)
        assert chain is (each in SIGNED[name])
        for file, intact in ((data, True), (flip(data), False)):
            (tmp_path / "file.efi").write_bytes(file)
            verified = sbverify(tmp_path / "file.efi", tmp_path / "key.pem")
            assert judge(file, each).allowed is (verified and chain) is (intact and chain)


@pytest.mark.kernel
def test_a_kernel_of_debians_starts_with_secure_boot_on(kernel, command):
    """Its stub says so, and the authority that allowed it is measured."""
    kernel("debian:bookworm/cloud-amd64")
    arguments = "run debian:bookworm/cloud-amd64 --platform q35-secure --json --out run --trace calls"
    done = command(*arguments.split())
    report = json.loads(done.out)
    assert (done.code, report["outcome"]["kind"]) == (0, "kernel-entry")
    assert "UEFI Secure Boot is enabled" in report["console"]
    authorities = [each for each in report["measurements"] if each["type"] == "EV_EFI_VARIABLE_AUTHORITY"]
    assert [(each["pcr"], each["description"]) for each in authorities] == [(7, "db")]
    assert report["secure_boot"]["images"][0]["reason"] == "db has CN=Debian Secure Boot CA, which vouches for it"


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("suite", "hooks"), [("bookworm", 2), ("trixie", 2), ("sid", 0)], ids=["bookworm", "trixie", "sid"]
)
def test_a_signed_unified_image_starts_the_kernel_in_it(start, folder, kernel, suite, hooks):
    """The kernel inside has no signature: the stub, which is trusted, vouches for it.

    It puts functions of its own into the slots that LoadImage asks through; Debian unstable's loads the kernel itself.
    """
    inner = as_kernel((resources.files("payloads") / "programs" / "built" / "handoff_like-x86_64.efi").read_bytes())
    release = b'ID=debian\nVERSION_ID=13\nPRETTY_NAME="Debian"\n'
    stub = kernel(f"debian:{suite}/systemd-stub-amd64").data
    # Without the symbols behind the sections of Debian 12's, as objcopy has it: sbsign hashes gaps in its own way.
    stub = stub[: max(each.raw_offset + each.raw_size for each in read_image(stub).sections)]
    sections = [(".linux", inner), (".osrel", release), (".uname", b"6.1"), (".cmdline", b"quiet")]
    (folder / "unsigned.efi").write_bytes(extend(stub, sections))
    words = "sbsign --key mine.key --cert mine.pem --output uki.efi unsigned.efi"
    subprocess.run(words.split(), cwd=folder, check=True, capture_output=True)
    code, report = start("unsigned", MINE)
    assert (code, report["outcome"]["kind"]) == (3, "refused")
    code, report = start("uki", MINE)
    assert (code, report["outcome"]["kind"]) == (0, "kernel-entry")
    # The firmware was asked for the image as a whole, and for nothing else.
    assert [each["reason"] for each in report["secure_boot"]["images"]] == ["db has CN=mine, which vouches for it"]
    replaced = [each for each in report["findings"] if each["kind"] == "table-slot-replaced"]
    assert [each["count"] for each in replaced] == [hooks] * bool(hooks)
    if hooks:
        assert replaced[0]["first"].startswith("FileAuthenticationState of the EFI_SECURITY_ARCH_PROTOCOL leads to ")
        assert " in payload; noticed when " in replaced[0]["first"]
