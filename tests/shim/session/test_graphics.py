"""What real kernels make of the screen: struct screen_info (include/uapi/linux/screen_info.h)."""

from __future__ import annotations

import json
import struct

import pytest

from shim.handoff import ram_image

pytestmark = pytest.mark.kernel

#: LINUX_EFI_SCREEN_INFO_TABLE_GUID, as include/linux/efi.h called it until 7.0.
TABLE = "e03fc20a-85dc-406e-b90e-4ab502371d95"
FRAMEBUFFER = "SELECT start, \"end\" FROM regions WHERE name = 'framebuffer'"
INSTALLED = f"""SELECT arguments ->> 'table' AS "table" FROM calls
    WHERE service = 'InstallConfigurationTable' AND arguments ->> 'vendor' = '{TABLE}'"""
#: Blocks that a stub takes before its kernel is unpacked.
STUB_BLOCKS = 6_000_000
SIZE, VIDEO_TYPE_EFI = 0x40, 0x70


def screen_info(width, height, base):
    """Of a screen with four bytes for each pixel, blue first: all 64 bytes."""
    info = bytearray(SIZE)
    info[0x0F] = VIDEO_TYPE_EFI
    struct.pack_into("<HHHII", info, 0x12, width, height, 32, base, width * height * 4)
    struct.pack_into("<H", info, 0x24, width * 4)
    # Bits and place of red, green, blue, and of what is reserved.
    info[0x26:0x2E] = bytes((8, 16, 8, 8, 8, 0, 8, 24))
    info[0x32] = 1  # page
    info[0x36] = 1  # VIDEO_CAPABILITY_SKIP_QUIRKS
    return info


@pytest.fixture
def framebuffer(kernel, command, tmp_path):
    """Runs a kernel on a platform with a screen; gives where the framebuffer is."""

    def run(name, platform, *options):
        kernel(name)
        done = command(
            "run", name, "--platform", platform, "--trace", "calls", "--json", "--out", "run", "--dump-ram",
            "--screenshot", "screen.png", *options,
        )  # fmt: skip
        report = json.loads(done.out)
        assert report["outcome"]["kind"] == ("budget" if options else "kernel-entry")
        assert report["calls"]["unimplemented"] == {}
        assert (tmp_path / "screen.png").read_bytes()[16:24] == struct.pack(">II", 1280, 800)
        (_, line) = command("query", "run", FRAMEBUFFER, "--format", "csv").out.split()
        return tuple(int(each, 0) for each in line.split(","))

    return run


@pytest.fixture
def memory(tmp_path):
    """Reads RAM as it was when a run on ended."""

    return lambda address, size: ram_image.of_run(tmp_path / "run").read(address, size)


def test_x86_kernels_have_it_in_boot_params(framebuffer, tmp_path):
    start, end = framebuffer("debian:trixie/cloud-amd64", "q35-graphics")
    assert end - start == 1280 * 800 * 4
    assert (tmp_path / "run" / "handoff" / "boot_params.bin").read_bytes()[:SIZE] == screen_info(1280, 800, start)
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    assert {"rule": "screen", "outcome": "ok", "sentence": f"1280 by 800 pixels at {start:#x}"} in json.loads(
        (tmp_path / "run" / "handoff" / "verdicts.json").read_text()
    )
    kept = [each for each in state["memory_map"] if each["start"] <= start and each["type"] == 0]
    assert any(end <= each["start"] + 4096 * each["pages"] for each in kept)


def test_arm64_kernels_have_it_in_their_own_data(framebuffer, memory, tmp_path):
    """The stub is a part of the kernel, and writes to the kernel's variable before it moves the kernel."""
    start, _ = framebuffer("debian:trixie/cloud-arm64", "virt-arm64-graphics")
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    code = next(each for each in state["memory_map"] if 0 <= state["entry"] - each["start"] < 4096 * each["pages"])
    assert bytes(screen_info(1280, 800, start)) in memory(code["start"], 4096 * code["pages"])


def test_arm_kernels_have_it_in_a_configuration_table(framebuffer, memory, command, tmp_path):
    """Their stub is a part of the decompressor, which has to leave it to the kernel."""
    (tmp_path / "arm.toml").write_text('extends = "virt-arm"\nname = "arm-graphics"\n[graphics]\n')
    start, _ = framebuffer("debian:bookworm/armmp", "arm.toml", "--max-blocks", STUB_BLOCKS)
    (_, table) = command("query", "run", INSTALLED, "--format", "csv").out.split()
    assert memory(int(table, 0), SIZE) == screen_info(1280, 800, start)


def test_a_machine_without_a_screen_makes_no_screenshot(command):
    done = command("run", "program:hello", "--screenshot", "screen.png", "--out", "run")
    assert (done.code, done.out) == (2, "")
    assert "platform q35 has no screen; q35-graphics has one" in done.err
