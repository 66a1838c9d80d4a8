"""What is said where there is no firmware to compare with, and where it does not come to its end."""

import dataclasses

import pytest

import booted
from lines import Broken


@pytest.fixture
def board(need, tmp_path, monkeypatch):
    """A machine whose variables are blank, and on which nothing is ever written to them."""
    need("swtpm")
    code, variables = tmp_path / "code.fd", tmp_path / "empty.fd"
    code.write_bytes(bytes(64))
    variables.write_bytes(b"\xff" * 4096)
    made = dataclasses.replace(booted.BOARDS["x86_64"], firmware=(str(code), str(variables)), qemu="sh")
    monkeypatch.setitem(booted.BOARDS, "x86_64", made)
    return made


def test_packages_that_are_missing(board, tmp_path):
    assert booted.missing(board) == ""
    (tmp_path / "code.fd").unlink()
    assert booted.missing(board) == "qemu-system-x86 ovmf swtpm"
    assert booted.missing(dataclasses.replace(board, qemu="no-such-qemu")) == "qemu-system-x86 ovmf swtpm"


def test_a_boot_that_comes_to_no_end(board, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(booted, "console_of", lambda command, limit: (asked.append((command, limit)), b"Shell> ")[1])
    with pytest.raises(Broken, match="last words: b'Shell> '"):
        booted.of_theirs("x86_64", tmp_path / "boot")
    ((command, limit),) = asked
    assert limit == booted.LIMIT_S
    assert any(str(tmp_path / "boot" / "variables.fd") in each for each in command)
    assert (tmp_path / "boot" / "disk" / "EFI" / "BOOT" / "BOOTX64.EFI").read_bytes()[:2] == b"MZ"
    assert (tmp_path / "boot" / "console").read_bytes() == b"Shell> "


def test_a_firmware_that_no_package_has(board):
    assert booted.version(board) == "code.fd"
