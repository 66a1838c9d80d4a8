"""Real arm64 kernels reach their entry: three generations, moved and in place, with the MMU on and off."""

from __future__ import annotations

import json
import struct

import pytest

from handoffs import broken_rules
from shim.handoff import ram_image

CLOUD = ("debian:bookworm/cloud-arm64", "debian:trixie/cloud-arm64", "debian:trixie-backports/cloud-arm64")
FULL = ("debian:bookworm/arm64", "debian:trixie/arm64", "debian:trixie-backports/arm64")
INITRD = bytes(range(256)) * 5000 + b"the end"
BARE = 'name = "bare"\nmachine = "aarch64"\n[memory]\nsize = "512M"\nbase = "1G"\n[firmware]\nrng = false\n'

pytestmark = pytest.mark.kernel


def run(command, tmp_path, *arguments):
    done = command("run", *arguments, "--json", "--out", "run")
    assert done.code == 0
    assert broken_rules(tmp_path / "run") == []
    return json.loads(done.out), json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())


@pytest.mark.parametrize("name", [*CLOUD, *FULL, "debian:sid/cloud-arm64", "debian:sid/arm64"])
def test_reaches_the_kernel_entry(name, kernel, command, tmp_path):
    """Bare: no initrd, no command line, and the platform that its machine has."""
    payload = kernel(name)
    report, state = run(command, tmp_path, name, "--trace", "calls")
    assert report["outcome"]["kind"] == "kernel-entry"
    assert report["platform"]["name"] == "virt-arm64"
    assert report["payload"]["sha256"] == payload.sha256
    assert report["calls"]["by_name"]["ExitBootServices"] == 1
    assert report["calls"]["unimplemented"] == {}
    assert report["engine"]["deterministic"] is True
    assert state["entered_from_image"] == "payload"
    chosen = state["device_tree"]["chosen"]
    assert "bootargs" not in chosen
    # From the platform's own tree.
    assert chosen["stdout-path"] == b"/pl011@9000000\0".hex()
    assert not [
        each
        for each in state["memory_map"]
        if each["attribute"] >> 63 and (each["start"] | each["pages"] << 12) % 0x1_0000
    ], "an OS may have pages of 64 KiB"
    assert chosen["linux,uefi-system-table"] == state["system_table"]
    assert chosen["linux,uefi-mmap-desc-ver"] == 1
    registers = state["registers"]
    assert (registers["x1"], registers["x2"], registers["x3"]) == (0, 0, 0)
    # The old stub switches MMU and data cache off before it leaves (bits M and C), later ones leave them on.
    assert registers["sctlr_el1"] & 5 == (0 if "bookworm" in name else 5)
    assert registers["pstate"] & 0x3C0 == 0x3C0
    # Where the kernel begins, the Image's own header begins: it has been moved as a whole, to memory for code.
    here = next(
        each for each in state["memory_map"] if each["start"] <= state["entry"] < each["start"] + 4096 * each["pages"]
    )
    assert here["type"] == 1


def test_a_kernel_of_16_kib_pages(kernel, command, tmp_path):
    """It runs where the CPU says that it has them, and that is the default for it; on others it refuses to start."""
    name = "debian:sid/arm64-16k"
    kernel(name)
    report, state = run(command, tmp_path, name, "--trace", "calls")
    assert report["outcome"]["kind"] == "kernel-entry"
    assert report["platform"]["name"] == "virt-arm64-16k"
    assert state["registers"]["tcr_el1"] >> 14 & 3 == 0, "of the firmware's tables the pages have 4 KiB still"
    refused = command("run", name, "--platform", "virt-arm64", "--trace", "calls", "--json", "--out", "refused")
    assert json.loads(refused.out)["outcome"]["status"] == "EFI_UNSUPPORTED"


@pytest.mark.parametrize("name", CLOUD)
def test_next_to_nothing_is_enough(name, kernel, command, tmp_path):
    """No device tree and no memory attributes."""
    kernel(name)
    report, state = run(command, tmp_path, name, "--trace", "calls", "--platform", "bare-aarch64")
    assert report["outcome"]["kind"] == "kernel-entry"
    assert not [each for each in report["calls"]["by_name"] if each.startswith("EFI_MEMORY_ATTRIBUTE")]
    assert "stdout-path" not in state["device_tree"]["chosen"]


@pytest.mark.parametrize("name", CLOUD)
def test_enters_at_el2(name, kernel, command, tmp_path):
    """The page tables are those of EL2; nothing has touched EL1's."""
    kernel(name)
    report, state = run(command, tmp_path, name, "--platform", "virt-arm64-el2", "--trace", "exact")
    assert report["outcome"]["kind"] == "kernel-entry"
    registers = state["registers"]
    assert registers["pstate"] >> 2 & 3 == 2
    assert registers["sctlr_el2"] & 5 == (0 if "bookworm" in name else 5)
    assert (registers["sctlr_el1"] & 5, registers["hcr_el2"]) == (0, 1 << 31)
    assert 20_000 < report["accesses"]["count"] < 40_000


@pytest.mark.parametrize("name", [*CLOUD, *FULL])
def test_hands_over_command_line_and_initrd(name, kernel, command, tmp_path):
    """What the kernel finds is, byte for byte, what went in."""
    kernel(name)
    (tmp_path / "initrd").write_bytes(INITRD)
    line = "console=ttyAMA0 root=/dev/vda1 quiet"
    _, state = run(
        command, tmp_path, name, "--trace", "calls", "--initrd", "initrd", "--cmdline", line, "--dump-ram"
    )  # fmt: skip
    tree = state["device_tree"]
    assert tree["chosen"]["bootargs"] == line
    read = ram_image.of_run(tmp_path / "run").read
    # The initrd is where the LINUX_EFI_INITRD_MEDIA table says.
    table = state["configuration_tables"]["5568e427-68fc-4f3d-ac74-ca555231cc68"]
    address, size = struct.unpack("<QQ", read(table, 16))
    assert (size, read(address, size)) == (len(INITRD), INITRD)
    assert state["initrd"] == {"address": address, "size": size}
    assert (tmp_path / "run" / "handoff" / "device_tree.dtb").read_bytes() == read(tree["address"], tree["size"])
    # The memory map that the tree points to is the firmware's.
    descriptors = read(tree["chosen"]["linux,uefi-mmap-start"], tree["chosen"]["linux,uefi-mmap-size"])
    step = tree["chosen"]["linux,uefi-mmap-desc-size"]
    told = [struct.unpack_from("<I4xQQQQ", descriptors, at) for at in range(0, len(descriptors), step)]
    assert [(start, pages, kind) for kind, start, _, pages, _ in told] == [
        (each["start"], each["pages"], each["type"]) for each in state["memory_map"]
    ]


@pytest.mark.parametrize("name", CLOUD)
def test_without_randomness_the_kernel_stays_where_it_was_loaded(name, kernel, command, tmp_path):
    """The entry lies in the image then: its header says where."""
    payload = kernel(name)
    (tmp_path / "bare.toml").write_text(BARE)
    report, state = run(command, tmp_path, name, "--trace", "exact", "--platform", "bare.toml")
    assert report["calls"]["by_name"].get("AllocatePages", 0) > 0
    entry = payload.linux.declared_kernel_entry
    assert (state["entry"] - entry) % 0x1_0000 == 0, "an Image is aligned to 64 KiB"
    here = next(
        each for each in state["memory_map"] if each["start"] <= state["entry"] < each["start"] + 4096 * each["pages"]
    )
    assert state["entry"] - entry == here["start"]


def test_watching_every_access_changes_nothing(kernel, command, tmp_path):
    """With and without the access hooks a run ends in the same memory."""
    kernel(CLOUD[1])
    plain, exact = (
        json.loads(command("run", CLOUD[1], "--json", "--out", level, "--trace", level).out)
        for level in ("calls", "exact")
    )
    assert 20_000 < exact["accesses"]["count"] < 40_000
    for same in ("memory", "calls", "console", "handoff"):
        assert exact[same] == plain[same]


def test_the_seed_decides_where_the_kernel_goes(kernel, command):
    """KASLR rests on the seed alone."""
    kernel(CLOUD[0])
    entries = {
        json.loads(command("run", CLOUD[0], "--json", "--trace", "calls", "--out", f"s{seed}", "--seed", seed).out)[
            "handoff"
        ]["entry"]
        for seed in (1, 2, 3)
    }
    assert len(entries) == 3
