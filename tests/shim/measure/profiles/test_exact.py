"""The profile of our own: whatever the stub took, in one register."""

import hashlib
import json

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.piece import piece
from shim.errors import UnreadableError, UsageError
from shim.measure import consumed, pieces
from shim.measure.consumed import Consumed
from shim.measure.formats import FORMATS
from shim.measure.profiles import PROFILES, exact
from shim.measure.readers import read
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


def test_what_the_stub_asked_for_is_consumed_though_it_only_hands_it_on(run, monkeypatch):
    made = [Consumed(piece("initrd", b"cpio", 0x10, 21), 0), Consumed(piece("table", b"t", 0x20), 0)]
    monkeypatch.setattr(exact, "consumed", lambda _run: made)
    assert [each.data for each in measure(run).events] == [b"initrd"]


def test_a_name_that_is_no_text(run):
    pieces.save(run.path / pieces.INPUTS, [piece("x", b"", 0x10)])
    rows = json.loads((run.path / pieces.INPUTS).read_text())
    rows[0]["name"] = "\ud800"
    (run.path / pieces.INPUTS).write_text(json.dumps(rows))
    assert measure(run).events[0].data == b"?"


def test_options_that_make_no_sense(run):
    with pytest.raises(UsageError, match="exact has no option 'tpm'; it has pcr"):
        PROFILES["exact"].measure(run, {"tpm": "none"})
    for pcr in ("24", "17", "22", "-1", "x", "", "٣", "016"):
        with pytest.raises(UsageError, match=f"pcr={pcr}: give a number"):
            PROFILES["exact"].measure(run, {"pcr": pcr})


def test_its_events_can_be_those_of_a_pcr(run):
    pieces.save(run.path / pieces.INPUTS, [piece("random bytes", b"4", 0x10, 3), piece("load options", b"q", 0x20)])
    measured = PROFILES["exact"].measure(run, {"pcr": "16"})
    for form in ("tcg2", "cel-json", "cel-cbor", "cel-tlv"):
        log = read(FORMATS[form].write(measured))
        assert [(each.index, each.data) for each in log.events] == [(16, b"random bytes"), (16, b"load options")]
        assert log.registers()[16] == measure(run).registers()[0]


@pytest.mark.parametrize("form", sorted(FORMATS.keys() - {"json", "inputs"}))
def test_without_one_other_forms_say_how_to_get_it(run, form):
    pieces.save(run.path / pieces.INPUTS, [])
    with pytest.raises(UsageError, match="exact; --set pcr=16"):
        FORMATS[form].write(PROFILES["exact"].measure(run, {}))


def test_a_folder_without_inputs(run):
    with pytest.raises(UnreadableError, match=r"inputs\.json"):
        measure(run)


def test_it_asks_for_what_was_consumed():
    assert exact.consumed is consumed.consumed
