"""Real kernels reach their entry: the three generations, cloud and full, with and without initrd and command line."""

from __future__ import annotations

import json
import struct

import pytest

from handoffs import broken_rules
from shim.handoff import ram_image
from shim.trace.findings import KINDS

CLOUD = ("debian:bookworm/cloud-amd64", "debian:trixie/cloud-amd64", "debian:trixie-backports/cloud-amd64")
FULL = ("debian:bookworm/amd64", "debian:trixie/amd64", "debian:trixie-backports/amd64")
INITRD = bytes(range(256)) * 5000 + b"the end"

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("name", [*CLOUD, *FULL, "debian:sid/cloud-amd64", "debian:sid/amd64"])
def test_reaches_the_kernel_entry(name, kernel, command, tmp_path):
    """Bare: no initrd, no command line."""
    payload = kernel(name)
    done = command("run", name, "--json", "--trace", "calls", "--out", "run")
    report = json.loads(done.out)
    assert done.code == 0
    assert report["outcome"] == {"kind": "kernel-entry", "status": None, "detail": "the kernel's entry was reached"}
    assert report["boot_services_exited"] is True
    assert report["payload"]["sha256"] == payload.sha256
    assert report["payload"]["kind"] == "linux-bzimage"
    assert report["calls"]["by_name"]["ExitBootServices"] == 1
    assert report["calls"]["unimplemented"] == {}
    assert report["engine"]["deterministic"] is True
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    assert broken_rules(tmp_path / "run") == []
    assert state["entered_from_image"] == "payload"
    boot_params = state["boot_params"]
    assert boot_params["efi_info"]["loader_signature"] == "EL64"
    assert boot_params["command_line"] == ""
    assert boot_params["initrd_size"] == 0
    # The kernel's entry lies in memory that the stub allocated for code, at the address it chose.
    here = next(
        each for each in state["memory_map"] if each["start"] <= state["entry"] < each["start"] + 4096 * each["pages"]
    )
    assert here["type"] == 1


@pytest.mark.parametrize("name", [*CLOUD, *FULL])
def test_hands_over_command_line_and_initrd(name, kernel, command, tmp_path):
    """What the kernel finds is, byte for byte, what went in."""
    kernel(name)
    (tmp_path / "initrd").write_bytes(INITRD)
    line = "console=ttyS0 root=/dev/vda1 nokaslr quiet"
    done = command(
        "run", name, "--json", "--trace", "calls", "--out", "run", "--initrd", "initrd", "--cmdline", line, "--dump-ram"
    )
    assert done.code == 0
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    assert broken_rules(tmp_path / "run") == []
    boot_params = state["boot_params"]
    assert boot_params["command_line"] == line
    ram = ram_image.of_run(tmp_path / "run")
    # The initrd is where the LINUX_EFI_INITRD_MEDIA table says.
    table = state["configuration_tables"]["5568e427-68fc-4f3d-ac74-ca555231cc68"]
    address, size = struct.unpack("<QQ", ram.read(table, 16))
    assert (size, ram.read(address, size)) == (len(INITRD), INITRD)
    # The memory map that boot_params points to is the firmware's.
    info = boot_params["efi_info"]
    descriptors = ram.read(info["memory_map"], info["memory_map_size"])
    told = [
        struct.unpack_from("<I4xQQQQ", descriptors, at) for at in range(0, len(descriptors), info["descriptor_size"])
    ]
    assert [(start, pages, kind) for kind, start, _, pages, _ in told] == [
        (each["start"], each["pages"], each["type"]) for each in state["memory_map"]
    ]
    # With nokaslr the kernel lies at CONFIG_PHYSICAL_START.
    assert 0x1000000 <= state["entry"] < 0x1000000 + (64 << 20)


def test_equal_inputs_make_equal_runs(kernel, command):
    """Everything but the timing is the same, the memory digest included."""
    kernel(CLOUD[0])
    first, second = (
        json.loads(
            command("run", CLOUD[0], "--json", "--trace", "calls", "--out", out, "--cmdline", "quiet", "--seed", 3).out
        )
        for out in ("a", "b")
    )
    first.pop("timing"), second.pop("timing")
    assert first == second


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


def test_a_stub_that_gives_up_is_an_outcome(kernel, command):
    """Too little memory for the kernel: the stub says so and leaves with an error."""
    kernel(CLOUD[1])
    done = command("run", CLOUD[1], "--json", "--trace", "calls", "--out", "run", "--memory", "48M")
    report = json.loads(done.out)
    assert done.code == 3
    assert report["outcome"]["kind"] == "exited"
    assert report["outcome"]["status"] == "EFI_OUT_OF_RESOURCES"
    assert "Failed to" in report["console"] or "out of resources" in report["console"].lower()


def test_firmware_without_page_permissions_protocol(kernel, command, tmp_path):
    """Without the memory attribute protocol the kernel runs from pages that their type makes executable."""
    kernel(CLOUD[0])
    platform = tmp_path / "bare.toml"
    platform.write_text(
        'name = "bare"\n[memory]\nsize = "512M"\n'
        '[[memory.reserved]]\nstart = 0\nsize = "4K"\ntype = "BootServicesData"\nmapped = false\n'
        "[firmware]\nmemory_attribute = false\nrng = false\n"
    )
    done = command("run", CLOUD[0], "--json", "--trace", "calls", "--out", "run", "--platform", platform)
    assert done.code == 0
    assert json.loads(done.out)["outcome"]["kind"] == "kernel-entry"


def test_watching_every_access_changes_nothing(kernel, command):
    """A kernel's first 400,000 blocks, with and without the access hooks, end in the same memory."""
    kernel(CLOUD[1])
    plain, exact = (
        json.loads(
            command(
                "run",
                CLOUD[1],
                "--json",
                "--out",
                level,
                "--trace",
                level,
                "--max-blocks",
                400_000,
                "--max-seconds",
                900,
            ).out
        )
        for level in ("calls", "exact")
    )
    assert plain["outcome"]["detail"] == exact["outcome"]["detail"] == "it ran for 400000 blocks"
    assert exact["accesses"]["count"] > 400_000
    for same in ("memory", "calls", "console"):
        assert exact[same] == plain[same]
    # Findings about accesses are what the exact trace has beyond the other.
    assert [each for each in exact["findings"] if each["kind"] not in KINDS] == plain["findings"]
    assert exact["engine"]["blocks"] == plain["engine"]["blocks"]
