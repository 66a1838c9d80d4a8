"""The TPM of a machine that goes on: what an swtpm holds for whoever begins with it next, as QEMU does."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.client import TpmClient
from efi_services.tcg.commands import TpmError
from efi_services.tcg.registers import DYNAMIC, PCRS, replay
from shim.boot.tpm import leave_as
from shim.errors import MissingError, UnreadableError
from shim.measure.profiles import firmware
from shim.tpm.control import Control, Request
from shim.tpm.swtpm import Swtpm, powered_on
from shim.trace.folder import open_run

SHA256 = Algorithm.SHA256


@pytest.fixture
def swtpm(need, tmp_path):
    """The control channel of one that is for QEMU: it gets its data channel over that."""
    need("swtpm")
    (tmp_path / "tpm").mkdir()
    at = tmp_path / "control"
    words = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={tmp_path / 'tpm'}", "--ctrl", f"type=unixio,path={at}"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not at.exists() and time.monotonic() < until:
        time.sleep(0.02)
    yield at
    process.terminate()
    process.wait()


def begun_with(at):
    """What the PCRs hold for one who begins with it as QEMU does, and starts nothing."""
    control = Control(str(at), 10)
    ours, theirs = socket.socketpair()
    with theirs:
        control.take_commands_from(theirs)
    control._ask(Request.STOP)
    control._ask(Request.INIT, bytes(4))
    transport = Swtpm(str(at), data=ours)
    held = TpmClient(transport).read(SHA256, range(PCRS))
    transport.close()
    control.close()
    return held


def measured(run, *words):
    folder = open_run(run("x86_64", "--platform", "q35-tpm", *words))
    extended = replay(firmware.build(folder, {}).set_of("tpm").events, (SHA256,))
    return folder, {index: value[SHA256] for index, value in extended.items()}


def test_a_guest_finds_the_registers_of_the_run(run, swtpm):
    folder, told = measured(run, "--cmdline", "quiet")
    leave_as(folder, swtpm)
    blank = {index: b"\xff" * 32 if index in DYNAMIC else bytes(32) for index in range(PCRS)}
    assert begun_with(swtpm) == blank | told
    assert set(told) >= {0, 1, 4, 7}


def test_what_the_tpm_held_before_is_gone(run, swtpm):
    folder, told = measured(run)
    for _ in range(2):
        leave_as(folder, swtpm)
    held = begun_with(swtpm)
    assert {index: held[index] for index in told} == told


def test_a_tpm_that_is_not_kept_is_blank(swtpm):
    with pytest.raises(TpmError), powered_on(str(swtpm)) as transport:
        # It was not started up, so it refuses.
        TpmClient(transport).extend(0, {SHA256: bytes(32)})
    with powered_on(str(swtpm)) as transport:
        client = TpmClient(transport)
        client.startup()
        assert client.read(SHA256, range(1)) == {0: bytes(32)}


def test_registers_that_come_out_otherwise(run, swtpm, monkeypatch):
    """As those of a TPM that has been begun with already, and that nobody begins anew."""
    folder, _ = measured(run)
    leave_as(folder, swtpm)
    monkeypatch.setattr(Control, "begin", lambda control: control._ask(Request.INIT, bytes(4)))
    with pytest.raises(UnreadableError, match=r"PCR .* came out otherwise than the run's"):
        leave_as(folder, swtpm)


def test_a_run_that_measured_nothing(run, tmp_path):
    with pytest.raises(UnreadableError, match="nothing was measured"):
        leave_as(open_run(run()), tmp_path / "none")


def test_no_swtpm(run, tmp_path):
    folder, _ = measured(run)
    with pytest.raises(MissingError, match="no control channel of an swtpm at"):
        leave_as(folder, tmp_path / "none")
