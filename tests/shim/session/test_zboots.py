"""zboot images: a program of ours unpacks a real kernel in the guest and starts it. Debian has none that can be run."""

from __future__ import annotations

import json
import struct

import pyarrow.parquet as pq
import pytest

from handoffs import broken_rules
from payloads import catalogue
from zboots import zboot

INITRD = bytes(range(256)) * 5000 + b"the end"


@pytest.fixture
def wrapper():
    """The program that unpacks."""
    return catalogue.program("program:zboot-aarch64").read_bytes()


def run(command, tmp_path, file, *options):
    (tmp_path / "vmlinuz.efi").write_bytes(file)
    done = command("run", "vmlinuz.efi", "--json", "--out", "run", *options)
    return done.code, json.loads(done.out)


@pytest.mark.kernel
def test_a_kernel_within_reaches_its_entry(kernel, wrapper, command, tmp_path):
    """With the command line and the initrd, in one run, the images nested: as if the kernel had been run by itself."""
    inner = kernel("debian:trixie/cloud-arm64").data
    (tmp_path / "initrd").write_bytes(INITRD)
    options = ("--trace", "calls", "--cmdline", "quiet", "--initrd", "initrd")
    code, report = run(command, tmp_path, zboot(wrapper, inner), *options)
    assert (code, report["outcome"]["kind"]) == (0, "kernel-entry")
    assert (report["payload"]["kind"], report["payload"]["machine"]) == ("linux-zboot", "aarch64")
    assert report["calls"]["unimplemented"] == {}
    assert broken_rules(tmp_path / "run") == []
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    assert state["entered_from_image"] == "child-1"
    assert state["device_tree"]["chosen"]["bootargs"] == "quiet"
    assert state["initrd"]["size"] == len(INITRD)
    calls = pq.read_table(tmp_path / "run" / "calls.parquet").to_pylist()
    (started,) = (each for each in calls if each["service"] == "StartImage")
    assert started["image"] == "payload"
    (leaving,) = (each for each in calls if each["service"] == "ExitBootServices")
    assert (leaving["image"], leaving["parent"]) == ("child-1", started["seq"])


def damaged(file, at, value):
    changed = bytearray(file)
    struct.pack_into("<I", changed, at, value)
    return bytes(changed)


def test_what_is_not_what_the_header_says(wrapper, command, tmp_path):
    """Both are looked at by the guest alone: the file's header is right."""
    whole = zboot(wrapper, b"MZ, but no program" * 1000)
    at, size = struct.unpack_from("<II", whole, 8)
    code, report = run(command, tmp_path, whole)
    assert (code, report["outcome"]["kind"]) == (3, "returned")
    assert report["findings"][0]["kind"] == "image-refused"
    for changed in (damaged(whole, at + 10, 0xFFFF_FFFF), damaged(whole, at + size - 4, 5)):
        (tmp_path / "run" / "run.json").unlink()
        for each in sorted((tmp_path / "run").rglob("*"), reverse=True):
            each.rmdir() if each.is_dir() else each.unlink()
        code, report = run(command, tmp_path, changed)
        assert (code, report["outcome"]["status"]) == (3, "EFI_LOAD_ERROR")
        assert report["console"] == "The payload is damaged.\n"


def test_a_size_that_nobody_has(wrapper, command, tmp_path):
    whole = zboot(wrapper, b"a program" * 1000)
    at, size = struct.unpack_from("<II", whole, 8)
    _, report = run(command, tmp_path, damaged(whole, at + size - 4, 0xFFFF_FFF0))
    assert report["outcome"]["status"] == "EFI_OUT_OF_RESOURCES"
