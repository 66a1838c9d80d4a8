"""What of a run folder is believed."""

from __future__ import annotations

import json

import pytest

from shim.boot.given import given
from shim.errors import UnreadableError
from shim.trace.folder import open_run

STATE = "handoff/state.json"


def test_a_whole_run(run):
    found = given(open_run(run()))
    assert found.state.architecture == "x86_64"
    assert found.platform.name == "q35"
    assert found.ram.stored > 0
    assert [each.name for each in found.state.variables][:2] == ["SecureBoot", "SetupMode"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda state: state.pop("entry"), "entry: Field required"),
        (lambda state: state.update(entry=-1), "entry: "),
        (lambda state: state.update(architecture="vax"), "architecture: "),
        (lambda state: state["registers"].update(rax=1 << 64), "registers.rax: "),
        (lambda state: state["registers"].update(rax="1"), "registers.rax: "),
        (lambda state: state["memory_map"][0].update(pages=1 << 60), "memory_map.0.pages: "),
        (lambda state: state["variables"][0].update(data="x"), "variables.0.data: "),
        (lambda state: state["registers"].update(rax=state["registers"]["rax"] ^ 1), "not the hand-off that run.json"),
        (lambda state: state.update(entry=state["entry"] + 1), "not the hand-off that run.json"),
    ],
)
def test_a_state_that_is_none(run, change, why):
    folder = run()
    state = json.loads((folder / STATE).read_text())
    change(state)
    (folder / STATE).write_text(json.dumps(state))
    with pytest.raises(UnreadableError, match=why) as refusal:
        given(open_run(folder))
    assert "\n" not in str(refusal.value)


def test_no_hand_off(run):
    folder = run()
    (folder / STATE).unlink()
    with pytest.raises(UnreadableError, match="no kernel entry"):
        given(open_run(folder))


def test_another_platform(run):
    folder = run()
    path = folder / "platform.toml"
    path.write_text(path.read_text().replace('vendor = "efi-shim"', 'vendor = "other"'))
    with pytest.raises(UnreadableError, match="not the platform"):
        given(open_run(folder))


def test_no_ram(run):
    folder = run()
    (folder / "handoff/ram.parquet").unlink()
    with pytest.raises(UnreadableError, match="make it again with --dump-ram"):
        given(open_run(folder))
