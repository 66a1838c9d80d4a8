"""Real EFI programs of Debian's: boot managers and loaders on a disk start what they are there for, others end."""

from __future__ import annotations

import hashlib
import json

import pyarrow.parquet as pq
import pytest

from payloads import catalogue
from ukis import as_kernel, extend

pytestmark = pytest.mark.kernel


@pytest.fixture
def uki(kernel):
    """A unified kernel image with a program of ours in the place of the kernel."""

    def make(suite, *sections):
        program = as_kernel(catalogue.program("program:handoff_like-x86_64").read_bytes())
        release = b'ID=debian\nVERSION_ID=13\nPRETTY_NAME="Debian"\n'
        stub = kernel(f"debian:{suite}/systemd-stub-amd64").data
        common = [(".linux", program), (".osrel", release), (".uname", b"6.1"), (".cmdline", b"quiet")]
        return extend(stub, [*common, *sections])

    return make


@pytest.fixture
def boot(command, tmp_path):
    """Runs from a disk with some files; gives what run.json says, and the images that called services."""

    def run(files, *words):
        for name, data in files.items():
            (tmp_path / "esp" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "esp" / name).write_bytes(data)
        given = ("--disk", "esp", "--platform", "q35-tpm", "--trace", "calls", "--json", "--out", "run", *words)
        done = command("run", *given)
        calls = pq.ParquetFile(tmp_path / "run" / "calls.parquet").read(columns=["image", "service"]).to_pylist()
        # The firmware asks itself whether an image may be loaded.
        asked = dict.fromkeys(each["image"] for each in calls if each["service"] != "FileAuthentication")
        leaving = [each["image"] for each in calls if each["service"] == "ExitBootServices"]
        return json.loads(done.out), list(asked), leaving

    return run


@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_systemd_boot_starts_a_unified_kernel_image(suite, kernel, uki, boot):
    manager = kernel(f"debian:{suite}/systemd-boot-amd64").data
    files = {"EFI/BOOT/BOOTX64.EFI": manager, "EFI/Linux/uki.efi": uki(suite), "loader/loader.conf": b"timeout 0\n"}
    report, images, leaving = boot(files)
    assert report["outcome"]["kind"] == "kernel-entry"
    assert report["findings"] == []
    assert images == ["payload", "uki.efi", "child-2"]
    assert leaving == ["child-2"]


@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_shim_loads_a_unified_kernel_image_by_itself(suite, kernel, uki, boot):
    """And Debian unstable's stub the kernel, so that the firmware loads neither."""
    loader = kernel("debian:trixie/shim-amd64").data
    report, images, leaving = boot({"EFI/BOOT/BOOTX64.EFI": loader, "EFI/BOOT/grubx64.efi": uki(suite)})
    assert report["outcome"]["kind"] == "kernel-entry"
    assert images == ["payload", "child-1", "child-2"]
    assert leaving == ["child-2"]
    assert {each["description"] for each in report["measurements"] if each["pcr"] == 14} >= {"MokList", "MokListX"}


@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_addons_and_their_company(suite, kernel, uki, boot):
    """What lies beside the image: it ends in the command line and in archives, and is measured into PCRs 12 and 13."""
    addon = kernel(f"debian:{suite}/systemd-addon-amd64").data
    beside = "EFI/Linux/uki.efi.extra.d"
    files = {
        "EFI/Linux/uki.efi": uki(suite),
        f"{beside}/one.addon.efi": extend(addon, [(".cmdline", b"one"), (".uname", b"6.1")]),
        f"{beside}/other.addon.efi": extend(addon, [(".cmdline", b"other"), (".uname", b"6.2")]),
        f"{beside}/archive.addon.efi": extend(addon, [(".initrd", b"an archive"), (".ucode", b"microcode")]),
        f"{beside}/a.cred": b"secret",
        f"{beside}/b.sysext.raw": b"extension",
        f"{beside}/c.confext.raw": b"configuration",
        "loader/addons/all.addon.efi": extend(addon, [(".cmdline", b"all")]),
        "loader/credentials/all.cred": b"everybody's secret",
    }
    report, _, _ = boot(files, "disk:/EFI/Linux/uki.efi")
    assert report["outcome"]["kind"] == "kernel-entry"
    assert ".uname mismatch between other.addon.efi and UKI" in report["console"]
    said = [(each["pcr"], each["description"]) for each in report["measurements"] if each["pcr"] in (12, 13)]
    assert said[:5] == [
        (12, "all one"),
        (12, "Credentials initrd"),
        (12, "Global credentials initrd"),
        (13, "System extension initrd"),
        (12, "Configuration extension initrd"),
    ]
    digests = [each["digests"]["sha256"] for each in report["measurements"] if each["pcr"] == 12]
    assert digests[0] == hashlib.sha256("all one\0".encode("utf-16-le")).hexdigest()
    tagged = {each["digests"]["sha256"] for each in report["measurements"] if each["type"] == "EV_EVENT_TAG"}
    assert tagged == {hashlib.sha256(data).hexdigest() for data in (b"an archive", b"microcode")}


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("debian:trixie/fwupd-amd64", "EFI_INVALID_PARAMETER", "No updates to process"),
        ("debian:trixie/systemd-boot-amd64", "EFI_UNSUPPORTED", "Unable to open root directory"),
        ("debian:trixie/shim-amd64", "EFI_UNSUPPORTED", "Failed to load image"),
        ("debian:trixie/systemd-stub-amd64", "EFI_NOT_FOUND", "lacks .linux section"),
        ("debian:sid/stubble-amd64", "EFI_NOT_FOUND", "lacks .linux section"),
    ],
)
def test_programs_that_find_nothing_to_do_say_so_and_return(name, status, words, kernel, command):
    kernel(name)
    report = json.loads(command("run", name, "--trace", "calls", "--json", "--out", "run").out)
    assert report["outcome"]["kind"] in ("returned", "exited")
    assert report["outcome"]["status"] == status
    assert words in report["console"]
    assert report["calls"]["unimplemented"] == {}
    # shim wants to know when what it starts comes back by Exit.
    hooks = [each["first"].partition(" of ")[0] for each in report["findings"]]
    assert hooks == (["Exit"] if "/shim-" in name else [])
