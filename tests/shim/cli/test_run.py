"""Bad words and bad files: one clear line, the right exit code, no traceback, and nothing left behind."""

from __future__ import annotations

import json
import os
from importlib import resources

import pytest

HELLO = (resources.files("payloads") / "programs" / "built" / "hello-x86_64.efi").read_bytes()


def word(data: bytes, at: int, value: int, size: int = 4) -> bytes:
    """*data* with a little-endian number put at an offset."""
    return data[:at] + value.to_bytes(size, "little") + data[at + size :]


PE_AT = int.from_bytes(HELLO[0x3C:0x40], "little")
OPTIONAL = PE_AT + 24
SECTIONS = OPTIONAL + int.from_bytes(HELLO[PE_AT + 20 : PE_AT + 22], "little")
RELOCATIONS = OPTIONAL + 112 + 5 * 8
RELOCATION_SECTION = next(
    SECTIONS + 40 * i for i in range(8) if HELLO[SECTIONS + 40 * i : SECTIONS + 40 * i + 6] == b".reloc"
)
RELOCATION_BYTES = int.from_bytes(HELLO[RELOCATION_SECTION + 20 : RELOCATION_SECTION + 24], "little")

BAD_FILES = {
    "empty": b"",
    "one byte": b"M",
    "truncated": HELLO[: len(HELLO) // 2],
    "no PE": b"\x7fELF" + bytes(4096),
    "text": b"hello world\n" * 100,
    "another machine": word(HELLO, PE_AT + 4, 0x0200, 2),
    "loongarch": word(HELLO, PE_AT + 4, 0x6264, 2),
    "i386 machine with a PE32+ header": word(HELLO, PE_AT + 4, 0x14C, 2),
    "no UEFI subsystem": word(HELLO, OPTIONAL + 68, 3, 2),
    "entry outside": word(HELLO, OPTIONAL + 16, 0x7FFF_0000),
    "entry at zero": word(HELLO, OPTIONAL + 16, 0),
    "sections overlap": word(HELLO, SECTIONS + 40 + 12, 0x1000),
    "section reaches outside": word(HELLO, SECTIONS + 8, 0x7FFF_FFFF),
    "raw data outside the file": word(HELLO, SECTIONS + 20, 0x7FFF_FFFF),
    "huge image": word(HELLO, OPTIONAL + 56, 0xFFFF_F000),
    "relocation table outside": word(HELLO, RELOCATIONS, 0x7FFF_0000),
    "relocation target outside": word(HELLO, RELOCATION_BYTES, 0x7FFF_0000),
    "relocation block of size zero": word(HELLO, RELOCATION_BYTES + 4, 0),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(name, command, tmp_path):
    (tmp_path / "bad.efi").write_bytes(BAD_FILES[name])
    done = command("run", "bad.efi")
    assert done.code == 11
    assert done.err.startswith("efi-shim: ")
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run"], 2, "PAYLOAD"),
        (["run", "missing.efi"], 10, "missing.efi"),
        (["run", "."], 10, "."),
        (["run", "/dev/zero"], 10, "/dev/zero"),
        (["run", "fifo"], 10, "fifo"),
        (["run", "debian:trixie/clod-amd64"], 2, "cloud-amd64"),
        (["run", "program:nothing"], 2, "nothing"),
        (["run", "program:hello", "--initrd", "missing"], 10, "missing"),
        (["run", "program:hello", "--initrd", "."], 10, "regular file"),
        (["run", "program:hello", "--initrd", "fifo"], 10, "regular file"),
        (["run", "program:hello", "--cmdline", "x" * 40_000], 2, "40000"),
        (["run", "program:hello", "--cmdline", "a\nb"], 2, "control"),
        (["run", "program:hello", "--cmdline", os.fsdecode(b"\xff")], 2, "UTF-8"),
        (["run", "program:hello", "--platform", "nowhere"], 2, "q35"),
        (["run", "program:hello", "--platform", "missing.toml"], 10, "missing.toml"),
        (["run", "program:hello", "--platform", "virt-arm64"], 11, "virt-arm64 is aarch64"),
        (["run", "program:hello-aarch64", "--platform", "q35"], 11, "q35 is x86_64"),
        (["run", "program:hello", "--memory", "lots"], 2, "lots"),
        (["run", "program:hello", "--memory", "1"], 2, "memory"),
        (["run", "program:hello", "--memory", "1024T"], 2, "memory"),
        (["run", "program:hello", "--trace", "everything"], 2, "everything"),
        (["run", "program:hello", "--seed", "-1"], 2, "seed"),
        (["run", "program:hello", "--max-blocks", "0"], 2, "max-blocks"),
        (["run", "program:hello", "--out", "taken"], 2, "taken"),
        (["run", "program:hello", "--out", "fifo"], 2, "fifo"),
        (["run", "program:hello", "--out", "/proc/nothing/here"], 10, "/proc"),
        (["run", "program:hello", "--keep-accesses", "--trace", "calls"], 2, "keep-accesses"),
        (["show", "nowhere"], 10, "nowhere"),
        (["show", "taken"], 10, "run.json"),
        (["inspect", "missing"], 10, "missing"),
        (["fetch", "debian:nothing"], 2, "debian:nothing"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_bad_words(arguments, code, says, command, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    done = command(*arguments)
    assert done.code == code
    assert says in done.err
    assert (tmp_path / "taken" / "file").read_text() == "mine"


def test_the_runs_folder_is_numbered(command, tmp_path):
    for number in (1, 2):
        assert command("run", "program:hello", "--quiet").code == 0
        assert (tmp_path / "runs" / f"program-hello-{number}" / "run.json").is_file()


def test_names_of_payloads_become_harmless_folder_names(command, tmp_path):
    (tmp_path / "..evil $(name)\n.efi").write_bytes(HELLO)
    assert command("run", "..evil $(name)\n.efi", "--quiet").code == 0
    (made,) = (tmp_path / "runs").iterdir()
    assert made.name == "evil-name-.efi-1"


def test_json_is_alone_on_stdout(command):
    done = command("run", "program:hello", "--json", "--out", "run")
    report = json.loads(done.out)
    assert report["schema"] == "efi-shim/run/1"
    assert "Hello from an EFI application." in done.err


def test_quiet_says_nothing(command):
    done = command("run", "program:hello", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_a_relocated_program_knows_where_it_is(command):
    """The same bytes at another address: less memory puts everything elsewhere."""
    for size in ("64M", "1G", "3G"):
        done = command("run", "program:images", "--json", "--out", size, "--memory", size)
        assert done.code == 0


def test_the_guests_escape_sequences_do_not_reach_the_terminal(command, tmp_path):
    (tmp_path / "shout.efi").write_bytes(HELLO)
    done = command("run", "shout.efi", "--cmdline", "[red]x[/red]", "--out", "run")
    assert "[red]x[/red]" in done.err
    assert "\x1b" not in done.err


def test_a_fault_leaves_a_readable_folder(command):
    assert command("run", "program:write_code", "--out", "run", "--trace", "calls").code == 4
    assert "read-only" in command("show", "run").out
    assert "OutputString" in command("show", "run", "calls").out
    assert "payload .text" in command("show", "run", "regions").out
    assert command("show", "run", "handoff").code == 10
    assert command("show", "run", "accesses").code == 10


def test_an_error_is_one_line_whatever_a_file_has_in_it(command, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(r'{"schema": "one\ntwo\u001b[31m"}')
    done = command("show", run)
    assert done.code == 10
    assert done.err.count("\n") == 1
    assert "\x1b" not in done.err


def test_a_damaged_folder_is_one_line(command, tmp_path):
    command("run", "program:hello", "--out", "run", "--quiet")
    (tmp_path / "run" / "calls.parquet").write_bytes(b"PAR1 no")
    done = command("show", "run", "calls")
    assert done.code == 10
    assert len(done.err.splitlines()) == 1
    (tmp_path / "run" / "run.json").write_text('{"schema": "efi-shim/run/1"}')
    assert command("show", "run").code == 10
