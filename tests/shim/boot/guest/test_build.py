"""What is committed is what the sources make."""

from __future__ import annotations

import subprocess

import pytest

from shim.boot import runtime
from shim.boot.guest import build


def test_the_built_programs_are_those_of_the_sources(need):
    need("ld.lld")
    said = subprocess.run(["clang", "--version"], capture_output=True, text=True, check=True).stdout
    if "version 14." not in said:
        pytest.skip("another version of clang makes other bytes")
    assert build.main(["--check"]) == 0


@pytest.mark.parametrize("architecture", build.ARCHITECTURES)
def test_each_fits_into_its_page(architecture):
    sizes = {each: len((build.BUILT / f"{each}-{architecture}.bin").read_bytes()) for each in build.PROGRAMS}
    assert sizes["reset"] <= 4096
    assert sizes["enter"] == 0x410
    assert sizes["runtime"] < 3072


@pytest.mark.parametrize("architecture", build.ARCHITECTURES)
def test_what_the_host_fills_in_lies_at_the_end(architecture):
    """Nothing that the linker script doesn't name has come behind it."""
    built = (build.BUILT / f"runtime-{architecture}.bin").read_bytes()
    assert built[-runtime._PARAMETERS.size :] == bytes(runtime._PARAMETERS.size)


def test_a_difference_is_told(monkeypatch, tmp_path, capsys, need):
    need("ld.lld")
    monkeypatch.setattr(build, "BUILT", tmp_path)
    assert build.main(["--check"]) == 1
    assert "runtime-riscv64.bin: differs" in capsys.readouterr().out


def test_without_a_compiler(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.main(["--check"]) == 12
    assert "clang" in capsys.readouterr().err
