"""Debian's 32-bit Arm kernels: the stub, SetVirtualAddressMap, the decompressor, and the kernel it unpacks."""

from __future__ import annotations

import json

import pytest

from handoffs import broken_rules
from shim.handoff import ram_image

#: Not that of the backports: its index is wrong on the mirrors for days on end.
NAMES = ("debian:bookworm/armmp", "debian:trixie/armmp", "debian:sid/armmp")
INITRD = bytes(range(256)) * 500 + b"the end"
#: Blocks that stub and preparations take before anything is unpacked.
STUB_BLOCKS = 6_000_000

pytestmark = pytest.mark.kernel


def test_reaches_the_unpacked_kernel_with_command_line_and_initrd(kernel, command, tmp_path):
    """The decompressor runs within the image, so the hand-off comes after it: with the MMU and its caches off."""
    payload = kernel(NAMES[0])
    (tmp_path / "initrd").write_bytes(INITRD)
    line = "console=ttyAMA0 root=/dev/vda1 quiet"
    done = command(
        "run", NAMES[0], "--json", "--trace", "calls", "--out", "run", "--initrd", "initrd", "--cmdline", line,
        "--dump-ram",
    )  # fmt: skip
    report = json.loads(done.out)
    assert done.code == 0
    assert report["outcome"]["kind"] == "kernel-entry"
    assert report["payload"]["sha256"] == payload.sha256
    assert report["platform"]["name"] == "virt-arm"
    assert report["calls"]["by_name"]["ExitBootServices"] == report["calls"]["by_name"]["SetVirtualAddressMap"] == 1
    assert report["calls"]["unimplemented"] == {}
    assert report["engine"]["deterministic"] is True
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    assert broken_rules(tmp_path / "run") == []
    assert state["entered_from_image"] == "payload"
    registers = state["registers"]
    # Documentation/arch/arm/booting.rst: 0, the machine and the device tree; Supervisor mode, A32, no interrupts.
    assert (registers["r0"], registers["r1"], registers["r2"]) == (0, 0xFFFF_FFFF, state["device_tree"]["address"])
    assert (registers["cpsr"] & 0x1F, registers["cpsr"] & 0x20, registers["cpsr"] & 0xC0) == (0x13, 0, 0xC0)
    assert registers["sctlr"] & 5 == 0
    # TEXT_OFFSET behind a multiple of 2 MiB.
    assert state["entry"] % (2 << 20) == 0x8000
    chosen = state["device_tree"]["chosen"]
    assert chosen["bootargs"] == line
    assert chosen["linux,uefi-system-table"] == state["system_table"]
    ram = ram_image.of_run(tmp_path / "run")
    assert ram.read(state["initrd"]["address"], state["initrd"]["size"]) == INITRD
    tree = ram.read(state["device_tree"]["address"], state["device_tree"]["size"])
    # What was unpacked is a kernel: the name of its release is in it.
    assert b"Linux version 6.1" in ram.read(state["entry"], 24 << 20)
    assert (tmp_path / "run" / "handoff" / "device_tree.dtb").read_bytes() == tree


@pytest.mark.parametrize("name", NAMES)
def test_every_generation_leaves_boot_services_and_begins_to_unpack(name, kernel, command):
    kernel(name)
    report = json.loads(
        command("run", name, "--json", "--trace", "exact", "--out", "run", "--max-blocks", STUB_BLOCKS).out
    )
    assert report["outcome"]["kind"] == "budget"
    assert report["boot_services_exited"] is True
    assert report["calls"]["by_name"]["SetVirtualAddressMap"] == 1
    assert report["calls"]["unimplemented"] == {}
    # It unpacks with memory behind its own image: boot services' data, on this platform.
    kinds = {each["kind"] for each in report["findings"]}
    assert "boot-services-memory-after-exit" in kinds


def test_without_room_behind_the_image_the_decompressor_comes_to_grief(kernel, command, tmp_path):
    """Its heap is 64 KiB that nobody gave it: next to code, it finds that it can't write there."""
    from shim.config.platform import load_platform

    kernel(NAMES[0])
    virt = load_platform("virt-arm")
    tight = virt.model_copy(update={"name": "tight", "firmware": virt.firmware.model_copy(update={"heap": 0})})
    (tmp_path / "tight.toml").write_text(tight.toml)
    done = command("run", NAMES[0], "--json", "--trace", "calls", "--out", "run", "--platform", "tight.toml")
    outcome = json.loads(done.out)["outcome"]
    assert (done.code, outcome["kind"]) == (4, "fault")
    assert "data abort, write to 0x" in outcome["detail"]
    assert outcome["detail"].endswith("in payload")
