"""The verbs that look rather than run."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest


def test_inspect_tells_of_a_program(command):
    done = command("inspect", "program:hello", "--json")
    found = json.loads(done.out)
    assert found["kind"] == "efi-application"
    assert found["machine"] == "x86_64"
    assert ".text" in command("inspect", "program:hello").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "program:hello"),
        ("run", "program:hello", "--quiet", "--out", "run"),
        ("run", "program:hello", "--quiet", "--out", "run", "--platform", "q35-secure"),
        ("query", "run", "SELECT 1"),
    ],
)
def test_the_exit_is_silent_whatever_was_imported(command, tmp_path, arguments):
    if arguments[0] == "query":
        command("run", "program:hello", "--quiet", "--out", str(tmp_path / "run"))
    code = "import sys; from shim.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


@pytest.mark.kernel
def test_inspect_tells_of_a_kernel(command, kernel):
    kernel("debian:trixie/cloud-amd64")
    found = json.loads(command("inspect", "debian:trixie/cloud-amd64", "--json").out)
    assert found["kind"] == "linux-bzimage"
    assert found["version"].startswith("6.12.")


def test_services_lists_every_slot(command):
    out = command("services").out
    for name in ("AllocatePages", "ExitBootServices", "GetVariable", "LoadFile", "GetRNG", "UpdateCapsule"):
        assert name in out


def test_payloads_lists_the_catalogue(command):
    out = command("payloads").out
    assert "debian:trixie/cloud-amd64" in out
    assert "hello" in out.rpartition("program:NAME")[2]


def test_doctor_is_content_where_tests_run(command):
    done = command("doctor")
    assert "Unicorn" in done.out
    assert done.code in (0, 12)


def test_show_follows_a_run(command):
    command("run", "program:images", "--out", "run", "--trace", "exact", "--quiet")
    assert "returned EFI_SUCCESS" in command("show", "run").out
    calls = command("show", "run", "calls").out
    # A child's calls stand indented below the call that started it.
    assert "  EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.OutputString" in calls
    assert "payload .text" in command("show", "run", "regions").out
    assert "write" in command("show", "run", "accesses").out
    assert "no measurements" in command("show", "run", "events").out


def test_help_does_not_import_what_only_a_run_needs():
    """The promise is a help text at once; what costs time is the heavy imports."""
    code = (
        "import sys; sys.argv = ['efi-shim', '--help']\n"
        "from shim.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'lief', 'pyarrow', 'duckdb', 'unicorn', 'numpy', 'pydantic', 'pefile', 'cryptography'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(','.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "run" in done.stdout


def test_interrupting_a_run_leaves_its_folder(tmp_path):
    import signal

    process = subprocess.Popen(
        [sys.executable, "-c", "from shim.cli import main; main()", "run", "program:loop", "--out", "run"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 5, err
    assert b"Traceback" not in err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["outcome"]["detail"] == "interrupted"
