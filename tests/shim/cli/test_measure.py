"""The verb measure: what it writes, and how it ends."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys

import pytest

from efi_services.tcg.log import decode
from efi_services.tcg.piece import piece
from shim.measure import pieces
from shim.measure.formats import FORMATS
from shim.measure.profiles import PROFILES


@pytest.fixture
def measure(command, tmp_path):
    """Asks about a run of a program that leaves boot services, on a platform with a TPM."""
    command("run", "program:handoff_like", "--platform", "q35-tpm", "--trace", "calls", "--out", "run", "--quiet")
    # The program hands its kernel no boot_params.
    page = bytes(4096)
    (tmp_path / "run/handoff/boot_params.bin").write_bytes(page)
    pieces.save(
        tmp_path / "run" / pieces.HANDED, [piece("boot_params", page, 0x1000), piece("initrd", b"cpio", 0x2000)]
    )
    return lambda *arguments: command("measure", "run", *arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Calling EFI Application from Boot Option"),
        (("--profile", "drtm"), "Measured boot parameters"),
        (("--profile", "drtm", "--set", "platform=skinit", "--set", "kernel=2025"), "TXT_EVTYPE_SLAUNCH_END"),
        (("--profile", "xen"), "kernel"),
        (("--profile", "exact"), "form inputs"),
        (("--gap",), "payload image"),
        (("--gap", "--profile", "xen"), "nothing"),
        (("--format", "pcrs"), "4"),
    ],
)
def test_answers(measure, arguments, says):
    done = measure(*arguments)
    assert (done.code, done.err) == (0, "")
    assert says in done.out


def test_the_list_of_forms_needs_no_run(command):
    done = command("measure", "nowhere", "--format", "list")
    assert done.code == 0
    assert all(name in done.out for name in FORMATS)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--format", "moon"], 2, "--format moon: give tcg2"),
        (["--profile", "moon"], 2, "--profile moon: give firmware, drtm"),
        (["--format", "tcg2", "--gap"], 2, "ask one"),
        (["--gap", "--against", "x"], 2, "ask one"),
        (["--set", "tpm"], 2, "--set tpm: give KEY=VALUE"),
        (["--set", "tpm=none"], 2, "profile firmware has no option 'tpm'"),
        (["--profile", "xen", "--set", "tpm=none"], 12, "no TPM"),
        (["--profile", "drtm", "--set", "dce=1"], 2, "dce"),
        (["--format", "ccel"], 2, "registers of confidential computing"),
        (["--format", "tsm"], 2, "--format tsm makes a folder: say where with -o"),
        (["--format", "all"], 2, "--format all makes a folder: say where with -o"),
        (["--format", "pcrlock"], 2, "makes a folder"),
        (["-o", "x"], 2, "-o is for --format"),
        (["--gap", "-o", "x"], 2, "-o is for --format"),
        (["--against", "nowhere"], 10, "nowhere: No such file"),
        (["--against", "run"], 10, "run: Is a directory"),
    ],
)
def test_bad_words(measure, tmp_path, arguments, code, says):
    done = measure(*arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_there_is_no_run(command):
    done = command("measure", "nowhere")
    assert done.code == 10
    assert "nowhere" in done.err


def test_a_run_that_measured_nothing(command):
    command("run", "program:hello", "--out", "run", "--quiet", "--trace", "calls")
    done = command("measure", "run")
    assert done.code == 10
    assert "--platform q35-tpm" in done.err
    assert command("measure", "run", "--profile", "xen").code == 0
    assert command("measure", "run", "--profile", "exact").code == 0
    assert command("measure", "run", "--profile", "drtm").code == 10


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_is_written_or_refused_in_a_line(measure, tmp_path, form):
    done = measure("--format", form, "-o", "out")
    assert done.code in (0, 2)
    if done.code:
        assert len(done.err.splitlines()) == 1
        assert not (tmp_path / "out").exists()
    elif FORMATS[form].tree:
        assert any(each.is_file() for each in (tmp_path / "out").rglob("*"))
    else:
        assert (tmp_path / "out").stat().st_size > 0


def test_all_forms_at_once_go_into_a_folder(measure, tmp_path):
    done = measure("--format", "all", "-o", "all")
    assert (done.code, done.out) == (0, "")
    made = {each.name for each in (tmp_path / "all").iterdir()}
    *refusals, left_out = done.err.splitlines()
    refused = {line.removeprefix("without ").partition(":")[0] for line in refusals}
    assert refused == {"ccel", "aael", "inputs"}
    assert made == FORMATS.keys() - refused
    assert measure("--format", "json", "-o", "json").code == 0
    assert left_out.startswith("pcrlock, rvps, corim, policy leave out PCR 0, PCR 2")
    assert (tmp_path / "all/json").read_bytes() == (tmp_path / "json").read_bytes()


def test_the_log_is_that_of_the_run(measure, tmp_path):
    assert measure("--format", "tcg2", "-o", "out").code == 0
    assert (tmp_path / "out").read_bytes() == (tmp_path / "run/eventlog.bin").read_bytes()


def test_stdout_gets_the_bytes_as_they_are(measure, tmp_path):
    code = "from shim.cli import main; main()"
    words = [sys.executable, "-c", code, "measure", "run", "--format", "tcg2"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == (tmp_path / "run/eventlog.bin").read_bytes()
    assert done.stderr == b""


def test_a_terminal_gets_no_binary(measure, tmp_path):
    """The other end of a pseudoterminal is somebody's screen."""
    master, screen = os.openpty()
    try:
        code = "from shim.cli import main; main()"
        words = [sys.executable, "-c", code, "measure", "run", "--format", "tcg2"]
        done = subprocess.run(words, cwd=tmp_path, stdout=screen, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 2
        assert b"is binary: say where with -o" in done.stderr
    finally:
        os.close(screen)
        os.close(master)


@pytest.mark.parametrize(
    ("form", "output", "says"),
    [
        ("tcg2", "run", "run: Is a directory"),
        ("tcg2", "nowhere/log", "nowhere/log: No such file"),
        ("tsm", "file", "file"),
        ("pcrlock", "file/below", "file"),
    ],
)
def test_a_place_that_can_not_be_written(measure, tmp_path, form, output, says):
    (tmp_path / "file").write_text("precious")
    done = measure("--format", form, "-o", output)
    assert (done.code, done.out) == (10, "")
    assert says in done.err
    assert len(done.err.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("form", ["tcg2", "tcg12", "cel-json", "cel-cbor", "cel-tlv", "systemd"])
@pytest.mark.parametrize("profile", ["firmware", "drtm"])
def test_a_log_of_our_own_is_equal(measure, form, profile):
    assert measure("--profile", profile, "--format", form, "-o", "log").code == 0
    done = measure("--profile", profile, "--against", "log")
    assert (done.code, done.err) == (0, "")


def test_a_changed_event_is_told(measure, tmp_path):
    log = bytearray((tmp_path / "run/eventlog.bin").read_bytes())
    events = decode(bytes(log)).events
    number = next(n for n, each in enumerate(events) if each.index == 4)
    digests = list(events[number].digests.values())
    at = log.index(digests[0])
    log[at] ^= 1
    (tmp_path / "log").write_bytes(log)
    done = measure("--against", "log")
    assert done.code == 1
    assert f"PCR 4: differs (ours {number}, theirs {number})" in done.out
    assert "Calling EFI Application from Boot Option" in done.out
    assert "differences from log" in done.err


def test_an_event_that_is_missing_is_told(measure, tmp_path):
    whole = (tmp_path / "run/eventlog.bin").read_bytes()
    events = decode(whole).events
    # The last one is the end of boot services: 12 bytes, two digests with their numbers, a size, a text.
    size = 12 + 22 + 34 + 4 + len(events[-1].data)
    (tmp_path / "log").write_bytes(whole[:-size])
    done = measure("--against", "log")
    assert done.code == 1
    assert f"PCR 5: missing (ours {len(events) - 1})" in done.out


def test_a_damaged_log_tells_where(measure, tmp_path):
    whole = (tmp_path / "run/eventlog.bin").read_bytes()
    (tmp_path / "log").write_bytes(whole[:-3])
    last = len(whole) - (12 + 22 + 34 + 4 + len(decode(whole).events[-1].data))
    done = measure("--against", "log")
    assert (done.code, done.out) == (10, "")
    # The header is event 0 here.
    assert f"log: event {len(decode(whole).events)} at offset {last:#x}" in done.err


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100), b"\xff" * 100, b"[" * 9999])
def test_what_is_no_log(measure, tmp_path, data):
    (tmp_path / "log").write_bytes(data)
    done = measure("--against", "log")
    assert (done.code, done.out) == (10, "")
    assert "log: " in done.err
    assert len(done.err.splitlines()) == 1


def test_a_file_larger_than_any_log_is_not_read(measure, tmp_path):
    with (tmp_path / "log").open("wb") as file:
        file.truncate(1 << 40)
    done = measure("--against", "log")
    assert done.code == 10
    assert "log: larger than any log of a boot" in done.err


@pytest.mark.parametrize("file", ["inputs.json", "measurements.json", "eventlog.bin", "handoff/pieces.json"])
@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe", b'{"sets": [{"unknown": [1e999]}]}', None])
def test_a_folder_that_somebody_has_tampered_with(measure, tmp_path, file, data):
    path = tmp_path / "run" / file
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)
    codes = set()
    for profile in PROFILES:
        for question in ((), ("--gap",)):
            done = measure("--profile", profile, *question)
            codes.add(done.code)
            assert done.code == 0 or len(done.err.splitlines()) == 1
            if done.code:
                assert path.name in done.err or "nothing was measured" in done.err
    assert codes == {0, 10}


def test_json_is_json(measure):
    assert json.loads(measure("--format", "json").out)


KNOWN = """
name = "known"
machine = "x86_64"
cpu = "westmere"
[memory]
size = "64M"
[tpm.known.0]
sha1 = "1111111111111111111111111111111111111111"
sha256 = "2222222222222222222222222222222222222222222222222222222222222222"
[cc]
kind = "tdx"
known = { mrtd = "%s" }
""" % ("33" * 48)


def test_what_a_machine_alone_knows_can_be_told_and_is_named_where_it_is_not(command, tmp_path):
    (tmp_path / "known.toml").write_text(KNOWN)
    command("run", "program:hello", "--platform", "known.toml", "--trace", "calls", "--out", "run", "--quiet")
    said = command("measure", "run", "--format", "pcrs").out.splitlines()
    assert f"sha256:0={'22' * 32}" in said
    assert f"sha384:mrtd={'33' * 48}" in said
    assert "# PCR 2: not known, a part of it is the machine's own" in said
    assert "# PCR 0 is by the platform's word, and not all its events are known" in said
    done = command("measure", "run", "--format", "rvps")
    assert json.loads(base64.b64decode(json.loads(done.out)["provenance"]))["mr_td"] == ["33" * 48]
    assert done.err == "rvps leaves out PCR 2, RTMR0: a part of them is the machine's own\n"
    assert json.loads(command("measure", "run", "--format", "policy").out)["banks"][0]["selection"].startswith(
        "sha1:0,"
    )
    command("measure", "run", "--format", "pcrlock", "-o", "locks")
    assert all('"pcr": 0,' not in each.read_text() for each in (tmp_path / "locks").iterdir())
    command("measure", "run", "--format", "tsm", "-o", "tsm")
    assert (tmp_path / "tsm/tdx/mrtd/digest").read_text() == "33" * 48 + "\n"
    assert (tmp_path / "tsm/tdx/mrtd/event_log").read_text().startswith("# By the platform's word")


@pytest.mark.parametrize("form", FORMATS)
def test_a_form_tells_of_what_is_not_known_or_a_line_on_stderr_does(measure, form):
    done = measure("--format", form, "-o", "out")
    if done.code == 0:
        assert ("leaves out PCR 0, PCR 2" in done.err) == FORMATS[form].silent


@pytest.mark.parametrize(
    ("where", "code", "why"),
    [
        ("192.0.2.1:2321", 2, "--into 192.0.2.1:2321: swtpm is 127.0.0.1 and a port"),
        ("127.0.0.1:1", 12, "no swtpm at 127.0.0.1:1"),
        ("./no-socket", 12, "no swtpm at ./no-socket"),
    ],
)
def test_into_what_is_no_swtpm(measure, where, code, why):
    done = measure("--into", where)
    assert done.code == code
    assert why in done.err
    assert done.err.count("\n") == 1
