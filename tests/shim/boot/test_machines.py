"""Which machine of QEMU's is asked for, and that there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.boot.machines import BOARDS, board_of, check, command
from shim.config.platform import load_platform
from shim.errors import MissingError, NotRunnableError, UsageError


@pytest.fixture
def qemu(tmp_path, monkeypatch):
    """Puts a QEMU that says something of its version in the way."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def put(text):
        file = tmp_path / "qemu-system-x86_64"
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    return put


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("q35", "x86_64"), ("q35-tpm", "x86_64"), ("q35-secure", "x86_64"), ("virt-arm64", "aarch64"),
        ("virt-arm64-el2", "aarch64"), ("virt-riscv64", "riscv64"),
    ],
)  # fmt: skip
def test_ready_platforms_have_a_machine(name, program):
    platform = load_platform(name)
    words = command(board_of(platform), platform, "/ram", "/rom")
    assert words[0] == f"qemu-system-{program}"
    assert ("virtualization=on" in words[2]) == (name == "virt-arm64-el2")
    assert "size=1073741824,mem-path=/ram,share=on" in " ".join(words)


def test_more_memory_than_has_room_below():
    platform = load_platform("q35").with_memory(3 << 30)
    assert "max-ram-below-4g=2147483648" in command(board_of(platform), platform, "/ram", "/rom")[2]


def test_a_tpm(tmp_path):
    platform = load_platform("q35-tpm")
    words = " ".join(command(board_of(platform), platform, "/ram", "/rom", tmp_path / "socket"))
    assert f"socket,id=tpm,path={tmp_path}/socket -tpmdev emulator,id=tpm,chardev=tpm -device tpm-tis" in words


@pytest.mark.parametrize("name", ["q35", "virt-arm64-tpm", "virt-riscv64"])
def test_no_kernel_would_find_a_tpm(name):
    platform = load_platform(name)
    with pytest.raises(UsageError, match=f"run on {name} would not find a TPM"):
        command(board_of(platform), platform, "/ram", "/rom", Path("socket"))


def test_the_path_of_a_socket_adds_no_option():
    platform = load_platform("q35-tpm")
    with pytest.raises(UsageError, match="comma"):
        command(board_of(platform), platform, "/ram", "/rom", Path("s,server=on"))


@pytest.mark.parametrize("name", ["bare-x86_64", "bare-i386", "q35-ia32", "virt-arm"])
def test_others_have_none(name):
    with pytest.raises(NotRunnableError):
        board_of(load_platform(name))


@pytest.mark.parametrize("text", ["QEMU emulator version 6.2.0", "QEMU emulator version 7.1.9 (Debian)"])
def test_too_old(qemu, text):
    qemu(f"echo '{text}'")
    with pytest.raises(MissingError, match=r"version \d\.\d: install qemu-system-x86, version 7\.2 or later"):
        check(BOARDS["x86_64"])


@pytest.mark.parametrize("text", ["exit 1", "echo nothing of use", "printf '\\377'"])
def test_no_version_at_all(qemu, text):
    qemu(text)
    with pytest.raises(MissingError, match="install qemu-system-x86"):
        check(BOARDS["x86_64"])


@pytest.mark.parametrize("text", ["QEMU emulator version 7.2.0", "QEMU emulator version 10.0.2 (Debian)"])
def test_new_enough(qemu, text):
    qemu(f"echo '{text}'")
    check(BOARDS["x86_64"])


def test_not_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="qemu-system-riscv64 is needed: install qemu-system-misc"):
        check(BOARDS["riscv64"])
