"""What the targets that read event logs share: a boot's logs to begin with, and what has to hold for any log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loading import borrow

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.log import LogError
from shim.errors import UnreadableError, UsageError
from shim.measure.compare import compare
from shim.measure.formats import FORMATS
from shim.measure.formats.explain import called
from shim.measure.model import Measured, Measurements
from shim.measure.readers import ReadLog, read

if TYPE_CHECKING:
    from collections.abc import Iterable

ERRORS = (LogError, UnreadableError)
_boots = borrow("tests/shim/measure/conftest.py")
BANKS = (Algorithm.SHA1, Algorithm.SHA256)
PCRS: Measurements = _boots.as_pcrs(_boots.boot(), BANKS)
MRS: Measurements = _boots.as_mrs(_boots.boot())


def measured(one: Measurements) -> Measured:
    """One set of registers, as a run has it."""
    return Measured("fuzz", None, "", "firmware", (one,))


def write(form: str, one: Measurements) -> bytes:
    """A log of *form*."""
    made = FORMATS[form].write(measured(one))
    assert isinstance(made, bytes)
    return made


def seeds(form: str, sets: Iterable[Measurements] = (PCRS, MRS)) -> dict[str, bytes]:
    """A whole boot's log for each of the *sets*, and one of a single event."""
    whole = {f"{each.kind}": write(form, each) for each in sets}
    short = {f"{each.kind}-short": write(form, _first(each)) for each in sets}
    return whole | short


def _first(one: Measurements) -> Measurements:
    return Measurements(one.kind, one.algorithms, one.events[:1])


def target(data: bytes, form: str) -> None:
    """Read it, and hold to what it says: registers, words, the comparison with a boot, and itself written again."""
    log = read(data, form)
    registers = log.registers()
    for event in log.events:
        assert called(event).isprintable()
    for ours in (PCRS, MRS):
        try:
            differences = compare(ours, log)
        except UsageError:
            continue
        assert all(str(each).isprintable() for each in differences)
        if not any(each.matters for each in differences):
            known = ours.registers()
            theirs = {index: values for index, values in registers.items() if index not in ours.unknown}
            banks = [each for each in ours.algorithms if each in log.algorithms]
            assert known.keys() == theirs.keys()
            assert all(known[index][bank] == theirs[index].get(bank) for index in known for bank in banks)
    _again(log, form)


def _again(log: ReadLog, form: str) -> None:
    """Written and read, the log is the same."""
    one = Measurements("tdx" if log.confidential else "tpm", log.algorithms, log.events)
    try:
        made = write("ccel" if form == "tcg2" and log.confidential else form, one)
    except UsageError:
        # Not every event has a digest for each bank.
        return
    again = read(made, form)
    assert _kept(again, form) == _kept(log, form)


def _kept(log: ReadLog, form: str) -> list[tuple[object, ...]]:
    """What the form keeps: systemd's has no types, and digests of an event that extends nothing mean nothing."""
    if form == "systemd":
        return [(each.index, each.digests) for each in log.events if each.extends]
    return [(each.index, each.type, each.data, each.digests if each.extends else None) for each in log.events]
