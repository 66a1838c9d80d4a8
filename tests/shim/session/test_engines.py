"""The patched engine and the released one see the same accesses: each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from shim.config.places import cache_folder
from shim.engine import build

RUN = "from shim.cli import main; main()"


@pytest.fixture(scope="module", autouse=True)
def patched_engine():
    """Without it there is nothing to compare; in CI it has to be there."""
    if build.find(cache_folder()) is None:
        assert os.environ.get("EFI_SHIM_REQUIRE_ENGINE") != "1", "the patched engine is not built"
        pytest.skip("the patched engine is not built: efi-shim engine build")


def run(folder, engine, *arguments):
    environment = {**os.environ, "EFI_SHIM_ENGINE": engine}
    command = [
        sys.executable,
        "-c",
        RUN,
        "run",
        *map(str, arguments),
        "--trace",
        "exact",
        "--json",
        "--out",
        str(folder),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout)


def compare(tmp_path, *arguments):
    released = run(tmp_path / "released", "released", *arguments)
    patched = run(tmp_path / "patched", "patched", *arguments)
    assert (released["engine"]["patched"], patched["engine"]["patched"]) == (False, True)
    for report in (released, patched):
        del report["timing"], report["engine"]["patched"]
    assert released == patched
    for table in ("calls", "regions", "touched", "coverage/bytes", "coverage/blocks"):
        files = [(tmp_path / engine / f"{table}.parquet").read_bytes() for engine in ("released", "patched")]
        assert files[0] == files[1], table
    return patched["accesses"]["count"]


@pytest.mark.parametrize(
    "name",
    [
        *("hello", "selftest", "images", "privileged", "handoff_like", "write_code", "stack_overflow"),
        *("hello-aarch64", "exit_events-aarch64", "images-aarch64", "handoff_like-aarch64", "stack_overflow-aarch64"),
        *("hello-i386", "exit_events-i386", "images-i386", "handoff_like-i386", "stack_overflow-i386"),
        *("hello-arm", "exit_events-arm", "images-arm", "handoff_like-arm", "stack_overflow-arm"),
    ],
)
def test_programs(name, tmp_path):
    compare(tmp_path, f"program:{name}")


@pytest.mark.kernel
def test_the_whole_stub_of_a_kernel(kernel, tmp_path):
    """Some 41 million accesses."""
    kernel("debian:bookworm/cloud-amd64")
    assert compare(tmp_path, "debian:bookworm/cloud-amd64") > 40_000_000


@pytest.mark.kernel
@pytest.mark.parametrize("suite", ["bookworm", "trixie", "trixie-backports"])
def test_the_whole_stub_of_an_arm64_kernel(suite, kernel, tmp_path):
    """Some 31,000 accesses; 23,000 where there is no device tree."""
    name = f"debian:{suite}/cloud-arm64"
    kernel(name)
    assert 20_000 < compare(tmp_path, name, "--cmdline", "quiet") < 40_000


@pytest.mark.kernel
@pytest.mark.parametrize("suite", ["trixie", "sid"])
def test_the_whole_stub_of_a_riscv64_kernel(suite, kernel, tmp_path):
    """Some 80,000 accesses."""
    name = f"debian:{suite}/riscv64"
    kernel(name)
    assert 40_000 < compare(tmp_path, name, "--cmdline", "quiet") < 120_000


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("name", "platform", "blocks"),
    [
        ("debian:bookworm/686-pae", "q35-ia32", 3_000_000),
        ("debian:bookworm/cloud-amd64", "q35-ia32", 3_000_000),
        ("debian:bookworm/armmp", "virt-arm", 7_000_000),
    ],
)
def test_the_beginning_of_a_kernel_on_32_bit_firmware(name, platform, blocks, kernel, tmp_path):
    """Millions of accesses from the start: the stub, and the first of what it unpacks."""
    kernel(name)
    assert compare(tmp_path, name, "--platform", platform, "--max-blocks", blocks) > 5_000_000


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["debian:trixie/cloud-amd64", "debian:trixie-backports/cloud-amd64"])
def test_the_beginning_of_a_larger_one(name, kernel, tmp_path):
    """At least 20 million accesses from the start."""
    kernel(name)
    assert compare(tmp_path, name, "--max-blocks", 9_000_000) > 20_000_000
