"""On 32-bit firmware: the i386 kernel that Debian still carries, and kernels of 64 bits that know such firmware."""

from __future__ import annotations

import json
import struct

import pytest

from handoffs import broken_rules
from shim.handoff import ram_image

NAME = "debian:bookworm/686-pae"
INITRD = bytes(range(256)) * 500 + b"the end"

pytestmark = pytest.mark.kernel


def test_reaches_the_kernel_entry_with_command_line_and_initrd(kernel, command, tmp_path):
    """What the kernel finds is, byte for byte, what went in. It is packed with xz: some 300 million blocks."""
    payload = kernel(NAME)
    (tmp_path / "initrd").write_bytes(INITRD)
    line = "console=ttyS0 root=/dev/vda1 nokaslr quiet"
    done = command(
        "run", NAME, "--json", "--trace", "calls", "--out", "run", "--initrd", "initrd", "--cmdline", line, "--dump-ram"
    )  # fmt: skip
    report = json.loads(done.out)
    assert done.code == 0
    assert report["outcome"]["kind"] == "kernel-entry"
    assert report["payload"]["sha256"] == payload.sha256
    assert report["platform"]["name"] == "q35-ia32"
    assert report["calls"]["by_name"]["ExitBootServices"] == 1
    assert report["calls"]["unimplemented"] == {}
    assert report["engine"]["deterministic"] is True
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    assert broken_rules(tmp_path / "run") == []
    assert state["entered_from_image"] == "payload"
    # With nokaslr the kernel lies at CONFIG_PHYSICAL_START, which is where its entry is.
    assert state["entry"] == 0x1000000
    boot_params = state["boot_params"]
    assert boot_params["address"] == state["registers"]["esi"]
    assert boot_params["efi_info"]["loader_signature"] == "EL32"
    assert boot_params["efi_info"]["system_table"] == state["system_table"]
    assert boot_params["command_line"] == line
    assert (boot_params["initrd_address"], boot_params["initrd_size"]) == tuple(state["initrd"].values())
    ram = ram_image.of_run(tmp_path / "run")
    assert ram.read(state["initrd"]["address"], state["initrd"]["size"]) == INITRD
    info = boot_params["efi_info"]
    descriptors = ram.read(info["memory_map"], info["memory_map_size"])
    told = [
        struct.unpack_from("<I4xQQQQ", descriptors, at) for at in range(0, len(descriptors), info["descriptor_size"])
    ]
    assert [(start, pages, kind) for kind, start, _, pages, _ in told] == [
        (each["start"], each["pages"], each["type"]) for each in state["memory_map"]
    ]


def test_a_kernel_of_64_bits_reaches_its_entry_on_firmware_of_32(kernel, command, tmp_path):
    """Mixed mode: it enters long mode, and leaves it for each call to the firmware."""
    payload = kernel("debian:bookworm/cloud-amd64")
    line = "console=ttyS0 quiet"
    done = command(
        "run", payload.name, "--json", "--trace", "calls", "--out", "run", "--platform", "q35-ia32", "--cmdline", line
    )  # fmt: skip
    report = json.loads(done.out)
    assert (done.code, report["outcome"]["kind"]) == (0, "kernel-entry")
    assert (report["payload"]["machine"], report["platform"]["name"]) == ("x86_64", "q35-ia32")
    assert report["calls"]["by_name"]["ExitBootServices"] == 1
    assert report["calls"]["unimplemented"] == {}
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    assert broken_rules(tmp_path / "run") == []
    assert state["registers"]["efer"] & 0x500 == 0x500, "long mode"
    assert state["boot_params"]["efi_info"]["loader_signature"] == "EL32"
    assert state["boot_params"]["efi_info"]["system_table"] == state["system_table"]
    assert state["boot_params"]["command_line"] == line


def test_a_program_of_64_bits_that_does_not_know_such_firmware_is_refused(command):
    done = command("run", "program:hello", "--platform", "q35-ia32")
    assert (done.code, done.err.count("\n")) == (11, 1)
    assert "is for x86_64, platform q35-ia32 is i386" in done.err
