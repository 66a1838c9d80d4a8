"""Stages between ExitBootServices and the kernel, end to end."""

import json

import pytest

from shim.handoff import ram_image

PROGRAM = "program:handoff_like"


def make(tmp_path, name: str, text: str) -> str:
    (tmp_path / f"{name}.py").write_text(text)
    return f"{name}:go"


def run(command, stage: str, *more: str):
    return command("run", PROGRAM, "--stage", stage, "--out", "run", "--quiet", *more)


def report(tmp_path):
    return json.loads((tmp_path / "run" / "run.json").read_text())


def test_what_a_stage_does_is_written_down_as_its_own(command, tmp_path):
    text = """
import hashlib
def go(state):
    page = state.register("rsi")
    assert state.read(page + 0x202, 4) == b"HdrS"
    assert state.handoff["entry"] == state.entry
    assert state.memory_map and state.configuration_tables and state.ranges
    state.write(page + 8, b"here")
    state.write(page + 12, b"too")
    state.set_register("rbx", 0x1234)
    state.entry += 1
    state.note("it was here")
"""
    assert run(command, make(tmp_path, "stage_does", text), "--trace", "exact", "--dump-ram").code == 0
    found = report(tmp_path)
    (stage,) = found["stages"]
    page = int(found["handoff"]["registers"]["rsi"], 16)
    (written,) = stage["written"]
    assert (int(written["address"], 16), written["size"]) == (page + 8, 7)
    assert stage["notes"] == ["it was here"]
    assert stage["registers"]["rbx"]["after"] == "0x1234"
    entry = int(found["handoff"]["entry"], 16)
    assert {key: int(value, 16) for key, value in stage["registers"]["rip"].items()} == {
        "before": entry - 1, "after": entry,
    }  # fmt: skip
    assert found["handoff"]["registers"]["rbx"] == "0x1234"
    assert ram_image.of_run(tmp_path / "run").read(page + 8, 7) == b"heretoo"


def test_what_a_stage_writes_is_nobody_elses(command, tmp_path):
    """The record of accesses of CPU and services is that of a run without a stage."""
    stage = make(tmp_path, "stage_writes", 'def go(state): state.write(state.register("rsi"), b"x" * 64)')
    assert run(command, stage, "--trace", "exact").code == 0
    with_stage = report(tmp_path)
    assert command("run", PROGRAM, "--trace", "exact", "--out", "plain", "--quiet").code == 0
    plain = json.loads((tmp_path / "plain" / "run.json").read_text())
    assert with_stage["accesses"] == plain["accesses"]
    assert with_stage["memory"]["digest"] != plain["memory"]["digest"]
    assert (tmp_path / "run/touched.parquet").read_bytes() == (tmp_path / "plain/touched.parquet").read_bytes()


def test_stages_follow_each_other(command, tmp_path):
    one = make(tmp_path, "stage_one", 'def go(state): state.set_register("rbx", 1)')
    two = make(tmp_path, "stage_two", 'def go(state): state.set_register("rbx", state.register("rbx") + 1)')
    assert run(command, one, "--stage", two).code == 0
    found = report(tmp_path)
    assert [each["name"] for each in found["stages"]] == [one, two]
    assert found["stages"][1]["registers"]["rbx"] == {"before": "0x1", "after": "0x2"}


def test_a_stage_that_says_no_ends_the_run(command, tmp_path):
    stage = make(tmp_path, "stage_no", "def go(state): state.stop('the initrd is not what it was')")
    two = make(tmp_path, "stage_after_no", "1 / 0  # never imported for nothing\ndef go(state): pass")
    done = run(command, stage)
    assert done.code == 1
    found = report(tmp_path)
    assert found["outcome"] == {
        "kind": "stopped", "status": None, "detail": "stage stage_no:go: the initrd is not what it was",
    }  # fmt: skip
    assert found["handoff"]["entry"] is None
    assert not (tmp_path / "run" / "handoff" / "state.json").exists()
    assert command("run", PROGRAM, "--stage", two, "--out", "other").code == 11
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("state.write(1 << 60, b'x')", "MemoryFault"),
        ("state.set_register('nothing', 1)", "KeyError"),
    ],
)
def test_a_stage_that_breaks_is_one_line(command, tmp_path, body, says):
    name = f"stage_breaks_{len(body)}"
    done = run(command, make(tmp_path, name, f"def go(state):\n    {body}"))
    assert done.code == 11
    (line,) = done.err.strip().splitlines()
    assert f"stage {name}:go: {says}" in line
    assert f"({name}.py, line 2)" in line


def test_without_a_kernel_no_stage_runs(command, tmp_path):
    stage = make(tmp_path, "stage_never", "def go(state): 1 / 0")
    assert command("run", "program:hello", "--stage", stage, "--out", "run", "--quiet").code == 0
    assert report(tmp_path)["stages"] == []


def test_replay_wants_the_same_stages(command, tmp_path):
    stage = make(tmp_path, "stage_again", 'def go(state): state.write(state.register("rsi"), b"again")')
    assert run(command, stage, "--trace", "exact").code == 0
    assert command("replay", "run").code == 2
    done = command("replay", "run", "--stage", stage)
    assert done.code == 0, done.err


PROTOCOL = """
from efi_services.service import method, protocol
from efi_services.status import Status
from efi_services.types import UINT64

@protocol("0d5b9a36-7a6e-4e0d-9b0f-6f2b0b6f9a01", name="TEST_LASTING_PROTOCOL", spec="test", outlives=True)
class Lasting:
    def __init__(self):
        self.numbers = []

    @method("Tell", "test")
    def tell(self, number: UINT64) -> Status:
        '''Take a number.'''
        self.numbers.append(number)
        return Status.SUCCESS

class go:
    def offer(self, firmware):
        self.protocol = Lasting()
        firmware.offer(self.protocol)
    def enter(self, state):
        state.note(f"told {self.protocol.numbers}")
"""


def test_a_protocol_that_is_called_after_boot_services(command, tmp_path):
    from efi_services.service import PROTOCOLS

    stage = make(tmp_path, "stage_offers", PROTOCOL)
    try:
        done = command("run", "program:lasting", "--stage", stage, "--out", "run", "--quiet")
    finally:
        PROTOCOLS.pop("TEST_LASTING_PROTOCOL", None)
    assert done.code == 0, done.err
    found = report(tmp_path)
    assert found["stages"][0]["notes"] == ["told [1, 2]"]
    assert found["calls"]["by_name"]["TEST_LASTING_PROTOCOL.Tell"] == 2
    assert not [each for each in found["findings"] if each["kind"] == "boot-service-after-exit"]
