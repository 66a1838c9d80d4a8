"""The i386 kernel that Debian still carries reaches its entry."""

from __future__ import annotations

import json
import struct

import pytest

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
    assert state["entered_from_image"] == "payload"
    # With nokaslr the kernel lies at CONFIG_PHYSICAL_START, which is where its entry is.
    assert state["entry"] == 0x1000000
    boot_params = state["boot_params"]
    assert boot_params["address"] == state["registers"]["esi"]
    assert boot_params["efi_info"]["loader_signature"] == "EL32"
    assert boot_params["efi_info"]["system_table"] == state["system_table"]
    assert boot_params["command_line"] == line
    assert (boot_params["initrd_address"], boot_params["initrd_size"]) == tuple(state["initrd"].values())
    with (tmp_path / "run" / "handoff" / "ram.bin").open("rb") as ram:
        ram.seek(state["initrd"]["address"])
        assert ram.read(state["initrd"]["size"]) == INITRD
        info = boot_params["efi_info"]
        ram.seek(info["memory_map"])
        descriptors = ram.read(info["memory_map_size"])
    told = [
        struct.unpack_from("<I4xQQQQ", descriptors, at) for at in range(0, len(descriptors), info["descriptor_size"])
    ]
    assert [(start, pages, kind) for kind, start, _, pages, _ in told] == [
        (each["start"], each["pages"], each["type"]) for each in state["memory_map"]
    ]
