"""Boot loaders that others made, from their start to the kernel's entry, in one run."""

import json
from pathlib import Path

import pytest

MENU = """
set timeout=30
menuentry "Nothing" {
    true
}
menuentry "Debian" {
    linux /linux/vmlinuz root=/dev/vda1 quiet
    initrd /linux/initrd
}
"""
PLATFORM = """
name = "lab"
[tpm]
banks = ["sha256"]
"""


@pytest.fixture
def esp(tmp_path, kernel):
    """A folder with a kernel and an initrd, and how a file gets into it."""
    top = tmp_path / "esp"

    def put(path, data):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(data if isinstance(data, bytes) else data.encode())

    put("linux/vmlinuz", kernel("debian:trixie/cloud-amd64").data)
    put("linux/initrd", bytes(range(256)) * 1000)
    (tmp_path / "lab.toml").write_text(PLATFORM)
    return put


def run(command, *words):
    command("run", "--disk", "esp", "--platform", "lab.toml", "--trace", "calls", "--out", "out", "--quiet", *words)
    return json.loads(Path("out/run.json").read_text("utf-8"))


def images(command):
    """The images in the order of their first calls."""
    text = "SELECT image FROM calls WHERE image <> '' GROUP BY image ORDER BY min(seq)"
    return [line.strip() for line in command("query", "out", text).out.splitlines()[1:] if line.strip()]


@pytest.mark.kernel
def test_systemd_boot_starts_a_kernel_after_its_timeout(command, esp, kernel):
    esp("EFI/BOOT/BOOTX64.EFI", kernel("debian:trixie/systemd-boot-amd64").data)
    esp("loader/loader.conf", "timeout 3\n")
    esp("loader/entries/debian.conf", "title Debian\nlinux /linux/vmlinuz\ninitrd /linux/initrd\noptions quiet\n")
    report = run(command)
    assert report["outcome"]["kind"] == "kernel-entry"
    assert report["calls"]["unimplemented"] == {}
    assert "Boot in 3 s." in report["console"]
    assert images(command)[:2] == ["payload", "vmlinuz"]
    measured = [(each["pcr"], each["type"]) for each in report["measurements"]]
    # The partition table comes before the first image, as with EDK2; the stub measures options and initrd.
    assert measured.count((5, "EV_EFI_GPT_EVENT")) == 1
    assert measured.index((5, "EV_EFI_GPT_EVENT")) < measured.index((4, "EV_EFI_BOOT_SERVICES_APPLICATION"))
    assert measured.count((4, "EV_EFI_BOOT_SERVICES_APPLICATION")) == 2
    assert measured.count((9, "EV_EVENT_TAG")) == 2


@pytest.mark.kernel
def test_shim_starts_grub_and_grub_the_kernel_that_keys_choose(command, esp, kernel):
    esp("EFI/BOOT/BOOTX64.EFI", kernel("debian:trixie/shim-signed-amd64").data)
    esp("EFI/BOOT/grubx64.efi", kernel("debian:trixie/grub-signed-amd64").data)
    esp("EFI/debian/grub.cfg", MENU)
    report = run(command, "--keys", "<wait 1><down><wait 0.5><enter>")
    assert report["outcome"]["kind"] == "kernel-entry"
    assert report["calls"]["unimplemented"] == {}
    # Shim and GRUB place what they load by themselves.
    assert len(images(command)) == 3
    assert "GNU GRUB" in report["console"]
    measured = [(each["pcr"], each["type"]) for each in report["measurements"]]
    assert (9, "EV_EVENT_TAG") in measured


@pytest.mark.kernel
@pytest.mark.parametrize(("name", "measured"), [("debian:bookworm/cloud-amd64", 1), ("debian:sid/cloud-amd64", 2)])
def test_files_that_the_command_line_names(command, esp, kernel, name, measured):
    esp("linux/vmlinuz", kernel(name).data)
    report = run(command, "disk:/linux/vmlinuz", "--cmdline", "initrd=\\linux\\initrd quiet")
    assert report["outcome"]["kind"] == "kernel-entry"
    # 6.1 measures an initrd that comes through LoadFile2, and none that it reads itself.
    assert sum(each["type"] == "EV_EVENT_TAG" for each in report["measurements"]) == measured
    inputs = json.loads(Path("out/inputs.json").read_text("utf-8"))
    assert any(each["name"] == "file \\linux\\initrd" for each in inputs)
