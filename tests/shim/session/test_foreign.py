"""Programs that others made, and that are no boot loaders: they do what they are for."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

SCRIPT = """@echo -off
echo Hello, %1!
ls fs0:\\docs
map
memmap
dh -p GraphicsOutput
"""


@pytest.mark.parametrize("machine", ["amd64", "arm64"])
def test_the_shell_runs_a_script(machine, command, kernel, tmp_path):
    """It keeps its texts in the HII database, sorts with collation, asks for keys by notification, and needs a disk."""
    kernel(name := f"debian:trixie/shell-{machine}")
    (tmp_path / "esp" / "docs").mkdir(parents=True)
    (tmp_path / "esp" / "docs" / "short.txt").write_text("short")
    (tmp_path / "esp" / "script.nsh").write_text(SCRIPT)
    platform = {"amd64": "q35-graphics", "arm64": "virt-arm64-graphics"}[machine]
    done = command(
        "run", name, "--platform", platform, "--disk", "esp", "--trace", "calls", "--out", "run", "--json",
        "--keys", "<esc>fs0:<enter>script world<enter>exit<enter>",
    )  # fmt: skip
    report = json.loads(done.out)
    said = report["console"]
    assert report["outcome"] == {"kind": "returned", "status": "EFI_SUCCESS", "detail": ""}
    assert done.code == 0
    assert report["calls"]["unimplemented"] == {}
    assert "UEFI Interactive Shell v2." in said
    assert "Hello, world!" in said
    assert re.search(r"5  short\.txt", said)
    assert "1 File(s)           5 bytes" in said
    assert re.search(r"FS0: Alias\(s\):HD0\w+:;BLK1:", said)
    # What it makes of the memory map is what there is: 1 GiB, but for what x86 machines have below 1 MiB.
    (total,) = re.findall(r"Total Memory: .* \(([0-9,]+) Bytes\)", said)
    reserved = re.findall(r"Reserved  : .* \(([0-9,]+) Bytes\)", said)
    missing = (384 << 10) if machine == "amd64" else 0
    assert int(total.replace(",", "")) + sum(int(each.replace(",", "")) for each in reserved) == (1 << 30) - missing
    assert "GraphicsOutput(GraphicsOutput)" in said.partition("Total Memory")[2]
    assert Path("run/console.txt").read_text("utf-8") == said


@pytest.mark.parametrize("machine", ["amd64", "arm64"])
def test_ipxe_comes_to_its_command_line(machine, command, kernel):
    """It waits for keys with the CPU halted, for the timer to wake it; Ctrl-B leads to the command line."""
    kernel(name := f"debian:trixie/ipxe-{machine}")
    done = command(
        "run", name, "--trace", "calls", "--out", "run", "--json", "--keys", "<ctrl-b>echo here I am<enter>exit<enter>"
    )
    report = json.loads(done.out)
    assert report["outcome"]["kind"] == "returned"
    assert report["engine"]["deterministic"] is True
    assert re.search(r"iPXE> echo here I am\r?\nhere I am", report["console"].replace("\b", ""))


@pytest.mark.parametrize("machine", ["amd64", "arm64"])
def test_a_grid_is_the_same_by_blt_and_by_the_framebuffer(machine, command, kernel, tmp_path):
    """Two of gnu-efi's samples, which draw it in squares of red and green."""
    platform = {"amd64": "q35-graphics", "arm64": "virt-arm64-graphics"}[machine]
    pictures = []
    for sample in ("bltgrid", "lfbgrid"):
        kernel(name := f"debian:trixie/gnu-efi-{sample}-{machine}")
        words = ("--platform", platform, "--trace", "calls", "--quiet", "--screenshot", f"{sample}.png")
        assert command("run", name, "--out", sample, *words).code == 0
        pictures.append((tmp_path / f"{sample}.png").read_bytes())
    assert pictures[0] == pictures[1]
    # Behind the signature and the header, which are 33 bytes.
    rows = zlib.decompress(pictures[0][41 : 41 + int.from_bytes(pictures[0][33:37], "big")])
    assert {rows[at : at + 3] for at in range(1, 3 * 1280, 3)} == {b"\xff\0\0", b"\0\xff\0"}
    assert rows[1 : 1 + 3 * 33] == b"\xff\0\0" * 32 + b"\0\xff\0"
