"""The profile of our own: whatever the stub took, in one register."""

import hashlib
import json

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.piece import piece
from shim.errors import UnreadableError, UsageError
from shim.measure import consumed, pieces
from shim.measure.consumed import Consumed
from shim.measure.profiles import PROFILES, exact
from shim.trace.folder import RunFolder

SHA256, SHA512 = Algorithm.SHA256, Algorithm.SHA512


@pytest.fixture
def run(make_report, tmp_path):
    return RunFolder(tmp_path, make_report())


def measure(run):
    (made,) = PROFILES["exact"].measure(run, {}).sets
    return made


def test_inputs_in_their_order_in_one_register(run):
    found = [piece("payload", b"file"), piece("random bytes", b"4", 0x10, 3), piece("load options", b"q", 0x20)]
    pieces.save(run.path / pieces.INPUTS, found)
    made = measure(run)
    assert [(each.index, each.data) for each in made.events] == [(0, b"random bytes"), (0, b"load options")]
    for algorithm in Algorithm:
        value = bytes(algorithm.size)
        for data in (b"4", b"q"):
            value = hashlib.new(algorithm.label, value + hashlib.new(algorithm.label, data).digest()).digest()
        assert made.registers()[0][algorithm] == value


def test_what_was_not_read_is_not_consumed(run, monkeypatch):
    read = {"a": 0, "b": 5, "c": None}
    made = [Consumed(piece(name, name.encode(), 0x10), size) for name, size in read.items()]
    monkeypatch.setattr(exact, "consumed", lambda _run: made)
    assert [each.data for each in measure(run).events] == [b"b", b"c"]


def test_a_name_that_is_no_text(run):
    pieces.save(run.path / pieces.INPUTS, [piece("x", b"", 0x10)])
    rows = json.loads((run.path / pieces.INPUTS).read_text())
    rows[0]["name"] = "\ud800"
    (run.path / pieces.INPUTS).write_text(json.dumps(rows))
    assert measure(run).events[0].data == b"?"


def test_it_has_no_options(run):
    with pytest.raises(UsageError, match="exact has no option 'tpm'; it has none"):
        PROFILES["exact"].measure(run, {"tpm": "none"})


def test_a_folder_without_inputs(run):
    with pytest.raises(UnreadableError, match=r"inputs\.json"):
        measure(run)


def test_it_asks_for_what_was_consumed():
    assert exact.consumed is consumed.consumed
