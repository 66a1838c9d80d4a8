"""shim as Microsoft signed it, with Secure Boot on: what it starts, which variables it keeps, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tomllib
from importlib import resources

import pyarrow.parquet as pq
import pytest
import tomli_w

from efi_services.secure_boot.signature_list import CERT_X509, Signature, pack
from efi_services.types import Guid
from payloads.pe import authenticode

pytestmark = pytest.mark.kernel

SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
PASSWORD = "secret12"
#: What GRUB does where there is nothing to be loaded.
HELLO = b"echo hello from GRUB\nexit\n"
KERNEL = b"set timeout=0\nlinux /vmlinuz root=/dev/vda1 quiet\ninitrd /initrd.img\nboot\n"
#: "Perform MOK management": Enroll MOK, Continue, Yes, the password, Reboot.
ENROL = f"<enter><down><enter><down><enter><down><enter>{PASSWORD}<enter><enter>"


@pytest.fixture
def parts(kernel):
    """Debian's signed boot loaders, by their names on a disk."""

    def get(name):
        names = {"shim": "shim-signed", "grub": "grub-signed", "fb": "shim-fallback-signed", "mm": "mok-manager-signed"}
        return kernel(f"debian:trixie/{names[name]}-amd64").data

    return get


@pytest.fixture
def boot(command, tmp_path):
    """Runs from a disk with some files; gives the exit code, what run.json says, and all calls."""

    def run(files, *, tpm=True, variables=(), keys=""):
        for name, data in files.items():
            (tmp_path / "esp" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "esp" / name).write_bytes(data)
        settings = tomllib.loads((resources.files("shim") / "platforms" / "q35-secure.toml").read_text("utf-8"))
        if not tpm:
            del settings["tpm"]
        settings["variables"] = [
            {"name": name, "vendor": SHIM, "attributes": attributes, "data": data.hex()}
            for name, attributes, data in variables
        ]
        (tmp_path / "machine.toml").write_text(tomli_w.dumps(settings))
        out = f"run{len(list(tmp_path.glob('run*')))}"
        words = ["--disk", "esp", "--platform", "machine.toml", "--trace", "calls", "--json", "--out"]
        done = command("run", *words, out, "--keys", keys)
        calls = pq.read_table(tmp_path / out / "calls.parquet").to_pylist()
        return done.code, json.loads(done.out), calls

    return run


def images_of(calls):
    """The images that called services, in the order of their first calls: the firmware's own calls are none's."""
    return list(dict.fromkeys(each["image"] for each in calls if each["image"]))


def written(calls):
    """Variables that were written: image, name and attributes."""
    done = [each for each in calls if each["service"] == "SetVariable" and each["status"] == "EFI_SUCCESS"]
    arguments = [(each["image"], json.loads(each["arguments"])) for each in done]
    return [(image, each["name"], each["attributes"]) for image, each in arguments if each["size"]]


def test_shim_starts_grub_and_grub_a_kernel(parts, kernel, boot, tmp_path):
    """One run, one record: each image's calls are its own, and the kernel finds what GRUB's menu says."""
    linux = kernel("debian:trixie/cloud-amd64").data
    initrd = b"an initrd" * 1000
    shim, grub = parts("shim"), parts("grub")
    files = {"EFI/BOOT/BOOTX64.EFI": shim, "EFI/BOOT/grubx64.efi": grub, "vmlinuz": linux, "initrd.img": initrd}
    code, report, calls = boot({**files, "EFI/debian/grub.cfg": KERNEL})
    assert (code, report["outcome"]["kind"]) == (0, "kernel-entry")
    # shim wants to know of images that are loaded past it.
    (hooks,) = report["findings"]
    assert (hooks["kind"], hooks["count"]) == ("table-slot-replaced", 5)
    assert hooks["first"].startswith("LoadImage of the boot services table leads to ")
    assert hooks["first"].endswith(" in payload; noticed when payload called a service")
    assert report["calls"]["unimplemented"] == {}
    assert images_of(calls) == ["payload", "child-1", "child-2"]
    assert [each["image"] for each in calls if each["service"] == "ExitBootServices"] == ["child-2"]
    # Whose a call is shows in where its code lies.
    regions = pq.read_table(tmp_path / "run0" / "regions.parquet").to_pylist()
    for each in calls:
        if each["image"]:
            own = [region for region in regions if region["name"] and region["name"].startswith(each["image"])]
            assert any(region["start"] <= each["caller"] < region["end"] for region in own), each
    # shim mirrors its lists for the operating system, before it starts anything.
    assert written(calls)[:5] == [
        ("payload", "SbatLevel", "0x3"),
        ("payload", "MokListRT", "0x6"),
        ("payload", "MokListXRT", "0x6"),
        ("payload", "SbatLevelRT", "0x6"),
        ("payload", "MokListTrustedRT", "0x6"),
    ]
    tables = [each["image"] for each in calls if each["service"] == "InstallConfigurationTable"]
    assert tables[0] == "payload"
    measured = [(each["pcr"], each["digests"]["sha256"]) for each in report["measurements"]]
    images = [digest for pcr, digest in measured if pcr == 4]
    assert [digest for digest in images if digest in {authenticode(each).hex() for each in (shim, grub, linux)}] == [
        authenticode(each).hex() for each in (shim, grub, linux)
    ]
    # By GRUB, and by the kernel's stub.
    assert measured.count((9, hashlib.sha256(initrd).hexdigest())) == 2
    assert "root=/dev/vda1 quiet" in [each["description"] for each in report["measurements"] if each["pcr"] == 8][-3]


def test_shim_falls_back_and_starts_what_it_finds(parts, boot):
    """Without a TPM; with one, fallback resets the machine, so that the next boot measures what a boot option names."""
    listed = "shimx64.efi,debian,,This is the boot entry for debian\n".encode("utf-16-le")
    files = {
        "EFI/BOOT/BOOTX64.EFI": parts("shim"),
        "EFI/BOOT/fbx64.efi": parts("fb"),
        "EFI/debian/shimx64.efi": parts("shim"),
        "EFI/debian/grubx64.efi": parts("grub"),
        "EFI/debian/BOOTX64.CSV": listed,
        "EFI/debian/grub.cfg": HELLO,
    }
    code, report, calls = boot(files, tpm=False)
    assert "hello from GRUB" in report["console"]
    # GRUB goes back to shim, that to fallback, which was left with nothing to do but to begin again.
    assert (code, report["outcome"]["kind"]) == (0, "reset")
    assert [name for image, name, _ in written(calls) if image == "child-1"] == ["Boot0000", "BootOrder"]
    assert images_of(calls)[:2] == ["payload", "child-1"]
    code, report, calls = boot(files)
    assert (code, report["outcome"]["detail"]) == (0, "cold reset")
    assert [name for image, name, _ in written(calls) if image == "child-1"] == ["Boot0000", "BootOrder"]
    assert "hello from GRUB" not in report["console"]


@pytest.mark.parametrize(
    ("revoked", "words", "kind"),
    [("grub", "(0x1A) Security Violation", "budget"), ("shim", "SBAT self-check failed", "reset")],
)
def test_shim_itself_refuses_what_its_sbat_level_revokes(parts, boot, revoked, words, kind):
    level = f"sbat,1,2099010100\n{revoked},99\n".encode()
    files = {"EFI/BOOT/BOOTX64.EFI": parts("shim"), "EFI/BOOT/grubx64.efi": parts("grub")}
    _, report, calls = boot(files, variables=[("SbatLevel", 3, level)])
    assert report["outcome"]["kind"] == kind
    assert words in report["console"]
    # The firmware was content with shim; it was shim that refused.
    assert [each["allowed"] for each in report["secure_boot"]["images"]] == [True]
    assert images_of(calls) == ["payload"]
    # Newer than what shim brings: it stays.
    assert "SbatLevel" not in [name for _, name, _ in written(calls)]


@pytest.fixture
def owner(need, tmp_path):
    """The machine's owner has a key: a list with its certificate, and what signs an image with it."""
    need("sbsign")
    need("openssl")
    words = "openssl req -x509 -newkey rsa:2048 -nodes -keyout mok.key -out mok.pem -subj /CN=owner -days 3650"
    subprocess.run(words.split(), cwd=tmp_path, check=True, capture_output=True)
    words = "openssl x509 -in mok.pem -outform der -out mok.der"
    subprocess.run(words.split(), cwd=tmp_path, check=True, capture_output=True)
    listed = pack([Signature(CERT_X509, Guid(SHIM), (tmp_path / "mok.der").read_bytes())])

    def sign(image):
        (tmp_path / "image").write_bytes(image)
        words = "sbsign --key mok.key --cert mok.pem --output signed image"
        subprocess.run(words.split(), cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / "signed").read_bytes()

    return listed, sign


def test_the_owners_key(parts, kernel, owner, boot):
    """What mokutil asks for, MokManager enrols, once somebody is there who knows the password; then shim trusts it."""
    listed, sign = owner
    grub = sign(kernel("debian:trixie/grub-amd64").data)
    files = {"EFI/BOOT/BOOTX64.EFI": parts("shim"), "EFI/BOOT/grubx64.efi": grub, "EFI/BOOT/grub.cfg": HELLO}
    asked = hashlib.sha256(listed + PASSWORD.encode("utf-16-le")).digest()
    request = [("MokNew", 7, listed), ("MokAuth", 7, asked)]
    _, report, calls = boot({**files, "EFI/BOOT/mmx64.efi": parts("mm")}, tpm=False, variables=request, keys=ENROL)
    assert report["outcome"]["detail"] == "warm reset"
    assert ("child-1", "MokList", "0x3") in written(calls)
    _, report, calls = boot(files, tpm=False, variables=[("MokList", 3, listed)])
    assert (report["outcome"]["status"], report["console"].strip()) == ("EFI_SUCCESS", "hello from GRUB")
    assert images_of(calls) == ["payload", "child-1"]
    _, report, calls = boot(files, tpm=False)
    assert "Security Violation" in report["console"]
    assert images_of(calls)[:1] == ["payload"]
