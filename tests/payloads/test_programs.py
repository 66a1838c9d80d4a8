"""The small EFI programs: what is committed is what the sources make, and each has an outcome to be held to."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from typing import Any

import pefile
import pytest

from payloads.programs import build

KEPT = [(program, machine) for program in build.PROGRAMS if program.kept for machine in program.machines]
FILES = sorted(program.file(machine) for program, machine in KEPT)
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((build.SOURCES / "expected.toml").read_text("utf-8"))
KEYS = {
    "outcome",
    "exit_code",
    "status",
    "exit_data",
    "reset",
    "fault",
    "address",
    "refused",
    "replaced",
    "console",
    "findings",
}
#: Besides, what may be otherwise where pointers have 32 bits.
NARROW = {"address", "console"}


def sums() -> dict[str, str]:
    lines = (build.BUILT / build.SUMS).read_text("ascii").splitlines()
    pairs = (line.split("  ", 1) for line in lines if not line.startswith("#"))
    return {name: digest for digest, name in pairs}


def test_the_checksums_are_those_of_the_files() -> None:
    actual = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in build.BUILT.glob("*.efi")}
    assert actual == sums()


def test_the_files_are_those_of_the_table() -> None:
    assert sorted(path.name for path in build.BUILT.iterdir()) == sorted([build.SUMS, *FILES])


def test_the_compiler_is_recorded() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", build.recorded_version())


def test_the_stems_are_unique() -> None:
    stems = [program.stem for program in build.PROGRAMS]
    assert len(stems) == len(set(stems))


def test_every_source_is_used_and_there() -> None:
    assert {program.path for program in build.PROGRAMS} == set(build.SOURCES.rglob("*.c"))


@pytest.mark.parametrize("program", build.PROGRAMS, ids=lambda program: program.stem)
def test_every_source_says_its_outcome(program: build.Program) -> None:
    head = program.path.read_text("utf-8").partition("*/")[0]
    assert head.startswith("/*\n")
    assert "Outcome" in head
    assert program.stem == program.path.stem or re.search(rf"\b{program.stem}\b", head)


def test_every_program_has_an_expected_outcome() -> None:
    assert set(EXPECTED) == {program.stem for program, _ in KEPT}


@pytest.mark.parametrize("stem", sorted(EXPECTED))
def test_the_expected_outcome_is_consistent(stem: str) -> None:
    expected = EXPECTED[stem]
    assert set(expected) <= KEYS | {"narrow"}
    assert set(expected.get("narrow", {})) <= NARROW
    outcome, code, status = expected["outcome"], expected["exit_code"], expected.get("status")
    if outcome in {"returned", "exited", "reset"}:
        assert re.fullmatch(r"EFI_[A-Z_]+", status)
        assert code == (0 if status == "EFI_SUCCESS" else 3)
    else:
        assert code == {"kernel-entry": 0, "fault": 4, "budget": 5}[outcome]
        assert status is None
    assert ("reset" in expected) == (outcome == "reset")
    assert ("fault" in expected) == (outcome == "fault")
    assert expected.get("fault", "fetch") in {"fetch", "read", "write", "exception"}
    assert all("\n" not in text and text for text in expected.get("console", []))


@pytest.mark.parametrize(("program", "machine"), KEPT, ids=[program.file(machine) for program, machine in KEPT])
def test_the_image_is_as_firmware_with_memory_protection_wants_it(program: build.Program, machine: str) -> None:
    image = (build.BUILT / program.file(machine)).read_bytes()
    assert len(image) < (100_000 if program.small else 16_384)
    with pefile.PE(data=image) as pe:
        assert pe.OPTIONAL_HEADER.Subsystem == (11 if program.subsystem == "efi_boot_service_driver" else 10)
        assert pe.OPTIONAL_HEADER.SectionAlignment == 4096
        assert pe.OPTIONAL_HEADER.DllCharacteristics & 0x140 == 0x140  # may be moved, is ready for no-execute
        assert pe.OPTIONAL_HEADER.DATA_DIRECTORY[5].Size > 0
        access = {section.Name.rstrip(b"\0").decode(): section.Characteristics >> 29 for section in pe.sections}
    execute, read, write = 1, 2, 4
    assert access.pop(".text") == read | execute
    assert access.pop(".data") == read | write
    assert set(access.values()) == {read}


def test_nothing_of_the_build_machine_is_in_the_images() -> None:
    for path in build.BUILT.glob("*.efi"):
        content = path.read_bytes()
        assert str(build.SOURCES).encode() not in content
        assert b".pdb" not in content


def test_the_sources_make_the_committed_files() -> None:
    tools = build.find_tools()
    recorded = int(build.recorded_version().partition(".")[0])
    if tools is None or tools.major != recorded:
        reason = f"clang and lld-link {recorded} are not here"
        if os.environ.get("EFI_SHIM_REQUIRE_TOOLS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    assert build.differences(build.build(tools)) == []


def test_without_a_compiler_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert build.main(["--check"]) == 12
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "clang" in err


def test_check_names_what_differs(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    files = {path.name: path.read_bytes() for path in build.BUILT.iterdir()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(build, "BUILT", tmp_path)
    assert build.differences(files) == []
    another_compiler = files[build.SUMS].replace(b"# clang ", b"# clang 99.")
    assert build.differences({**files, build.SUMS: another_compiler}) == []
    (tmp_path / "hello-x86_64.efi").write_bytes(b"MZ")
    (tmp_path / "loop-x86_64.efi").unlink()
    (tmp_path / "stray.efi").write_bytes(b"")
    assert build.differences(files) == [
        "hello-x86_64.efi: differs",
        "loop-x86_64.efi: missing",
        "stray.efi: not made by any program",
    ]
