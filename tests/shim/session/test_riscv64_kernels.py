"""Real riscv64 kernels reach their entry, moved and in place, and get what they are to get."""

from __future__ import annotations

import json
import struct

import pytest

from handoffs import broken_rules
from shim.handoff import ram_image

KERNELS = ("debian:trixie/riscv64", "debian:sid/riscv64")
INITRD = bytes(range(256)) * 5000 + b"the end"
BARE = 'name = "bare"\nmachine = "riscv64"\n[memory]\nsize = "512M"\nbase = "2G"\n[firmware]\nrng = false\n'

pytestmark = pytest.mark.kernel


def run(command, tmp_path, *arguments):
    done = command("run", *arguments, "--json", "--out", "run")
    assert done.code == 0
    assert broken_rules(tmp_path / "run") == []
    return json.loads(done.out), json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())


@pytest.mark.parametrize("name", KERNELS)
def test_reaches_the_kernel_entry(name, kernel, command, tmp_path):
    """Bare: no initrd, no command line, and the platform that its machine has."""
    payload = kernel(name)
    report, state = run(command, tmp_path, name, "--trace", "exact")
    assert report["outcome"]["kind"] == "kernel-entry"
    assert report["platform"]["name"] == "virt-riscv64"
    assert report["payload"]["sha256"] == payload.sha256
    assert report["calls"]["by_name"]["ExitBootServices"] == 1
    assert report["calls"]["by_name"]["SetVirtualAddressMap"] == 1
    assert report["calls"]["by_name"]["RISCV_EFI_BOOT_PROTOCOL.GetBootHartId"] == 1
    assert report["calls"]["unimplemented"] == {}
    assert report["engine"]["deterministic"] is True
    assert 40_000 < report["accesses"]["count"] < 120_000
    assert state["entered_from_image"] == "payload"
    assert state["boot_hart"] == 0
    chosen = state["device_tree"]["chosen"]
    assert (chosen["boot-hartid"], chosen["stdout-path"]) == (0, b"/soc/serial@10000000\0".hex())
    assert chosen["linux,uefi-system-table"] == state["system_table"]
    registers = state["registers"]
    assert (registers["satp"], registers["a0"], registers["a1"]) == (0, 0, state["device_tree"]["address"])
    assert registers["sstatus"] & 2 == 0
    entry = payload.linux.declared_kernel_entry
    assert (state["entry"] - entry) % 0x20_0000 == 0, "an Image is aligned to 2 MiB"


@pytest.mark.parametrize("name", KERNELS)
def test_hands_over_command_line_and_initrd(name, kernel, command, tmp_path):
    """What the kernel finds is, byte for byte, what went in."""
    kernel(name)
    (tmp_path / "initrd").write_bytes(INITRD)
    line = "console=ttyS0 root=/dev/vda1 quiet"
    _, state = run(
        command, tmp_path, name, "--trace", "calls", "--initrd", "initrd", "--cmdline", line, "--dump-ram"
    )  # fmt: skip
    assert state["device_tree"]["chosen"]["bootargs"] == line
    read = ram_image.of_run(tmp_path / "run").read
    address, size = struct.unpack(
        "<QQ", read(state["configuration_tables"]["5568e427-68fc-4f3d-ac74-ca555231cc68"], 16)
    )
    assert read(address, size) == INITRD
    # The Image lies there as in the file, up to what its stub has written.
    assert read(state["entry"] & -0x20_0000, 64)[0x38:0x3C] == b"RSC\5"


@pytest.mark.parametrize("name", KERNELS)
def test_without_randomness_the_kernel_goes_to_the_lowest_place(name, kernel, command, tmp_path):
    payload = kernel(name)
    (tmp_path / "bare.toml").write_text(BARE)
    _, state = run(command, tmp_path, name, "--trace", "calls", "--platform", "bare.toml")
    assert (state["entry"] - payload.linux.declared_kernel_entry) % 0x20_0000 == 0


@pytest.mark.parametrize("name", KERNELS)
def test_next_to_nothing_is_enough(name, kernel, command, tmp_path):
    """No device tree, no memory attributes, and runtime services that the kernel is told not to call."""
    kernel(name)
    report, state = run(command, tmp_path, name, "--trace", "calls", "--platform", "bare-riscv64")
    assert report["outcome"]["kind"] == "kernel-entry"
    assert "SetVirtualAddressMap" not in report["calls"]["by_name"]
    assert "stdout-path" not in state["device_tree"]["chosen"]
    assert set(state["configuration_tables"]) >= {"eb66918a-7eef-402a-842e-931d21c38ae9"}


@pytest.mark.parametrize("name", KERNELS)
def test_a_device_tree_tells_of_the_hart_too(name, kernel, command, tmp_path):
    kernel(name)
    (tmp_path / "mine.toml").write_text(
        'extends = "virt-riscv64"\nname = "mine"\n[firmware]\nboot_hart_protocol = false\n'
    )
    report, state = run(command, tmp_path, name, "--trace", "calls", "--platform", "mine.toml")
    assert "RISCV_EFI_BOOT_PROTOCOL.GetBootHartId" not in report["calls"]["by_name"]
    assert state["boot_hart"] == 0


def test_without_its_hart_a_kernel_gives_up(kernel, command, tmp_path):
    """Neither the protocol nor a device tree tells of it."""
    kernel(KERNELS[0])
    (tmp_path / "bare.toml").write_text(BARE + "boot_hart_protocol = false\n")
    done = command("run", KERNELS[0], "--json", "--trace", "calls", "--platform", "bare.toml", "--out", "run")
    assert done.code == 3
    assert json.loads(done.out)["outcome"]["status"] == "EFI_UNSUPPORTED"


def test_watching_every_access_changes_nothing(kernel, command, tmp_path):
    """With and without the access hooks a run ends in the same memory."""
    kernel(KERNELS[0])
    plain, exact = (
        json.loads(command("run", KERNELS[0], "--json", "--out", level, "--trace", level).out)
        for level in ("calls", "exact")
    )
    for same in ("memory", "calls", "console", "handoff"):
        assert exact[same] == plain[same]
