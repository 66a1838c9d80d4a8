"""Runs that begin on a disk."""

import json
import shutil

import pytest

from payloads import catalogue

ENTRY = """
name = "lab"
[[disk]]
folder = "esp"
[[boot]]
description = "Hello"
path = "/hello.efi"
options = "words"
"""


@pytest.fixture
def esp(tmp_path):
    """A folder with our own programs; the command runs beside it."""
    top = tmp_path / "esp"
    (top / "EFI" / "BOOT").mkdir(parents=True)
    shutil.copy(catalogue.program("program:hello"), top / "hello.efi")
    shutil.copy(catalogue.program("program:hello"), top / "EFI" / "BOOT" / "BOOTX64.EFI")
    return top


def run(command, *words):
    done = command("run", *words, "--json", "--quiet", "--trace", "calls", "--out", "out")
    return json.loads(done.out)


def test_the_file_for_removable_media(command, esp):
    report = run(command, "--disk", esp)
    assert report["payload"]["name"] == "disk:\\EFI\\BOOT\\BOOTX64.EFI"
    assert report["inputs"]["boot"] == "disk:"
    assert report["outcome"]["kind"] == "returned"


@pytest.mark.parametrize("name", ["disk:hello.efi", "disk:/HELLO.EFI", "disk:\\hello.efi"])
def test_a_file_on_the_disk(command, esp, name):
    report = run(command, name, "--disk", esp)
    assert report["payload"]["name"].lower() == "disk:\\hello.efi"


def test_boot_entries_of_the_platform(command, esp, tmp_path):
    (tmp_path / "lab.toml").write_text(ENTRY)
    report = run(command, "--platform", "lab.toml")
    assert report["payload"]["name"] == "disk:\\hello.efi"
    assert "words" in report["console"]


def test_a_run_from_a_disk_is_done_again(command, esp):
    assert command("run", "--disk", esp, "--trace", "exact", "--out", "out", "--quiet").code == 0
    assert command("replay", "out", "--disk", esp).code == 0
    (esp / "new").write_text("x")
    assert "platform.sha256" in command("replay", "out", "--disk", esp).err
    assert "--disk" in command("replay", "out").err


def test_where_there_is_nothing_to_boot(command, esp):
    assert "give a PAYLOAD" in command("run").err
    assert "has a file \\\\nothing" in command("run", "disk:nothing", "--disk", esp).err.replace("\\", "\\\\")
    shutil.rmtree(esp / "EFI")
    done = command("run", "--disk", esp)
    assert (done.code, "BOOTX64.EFI" in done.err) == (2, True)
    (esp / "text.efi").write_text("no program")
    assert command("run", "disk:text.efi", "--disk", esp).code == 11


def test_what_the_host_has_stays_as_it_is(command, esp):
    before = {each: (each.stat(), each.is_file() and each.read_bytes()) for each in sorted(esp.rglob("*"))}
    run(command, "--disk", esp)
    after = {each: (each.stat(), each.is_file() and each.read_bytes()) for each in sorted(esp.rglob("*"))}
    assert [(k, v[1], v[0].st_mtime_ns) for k, v in before.items()] == [
        (k, v[1], v[0].st_mtime_ns) for k, v in after.items()
    ]
