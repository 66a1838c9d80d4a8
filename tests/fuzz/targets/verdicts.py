"""An x86 hand-off whose boot_params, page tables and descriptor tables are anything: every rule has a verdict."""

from loading import borrow

from shim.handoff import x86
from shim.handoff.verdicts.judge import judge
from shim.handoff.verdicts.rule import Given

ERRORS = ()
build = borrow("tests/making/handoffs.py")
_HANDOFF = build.HandOff("x86_64")
_STATE = _HANDOFF.collect()
#: An input is one after the other: offset of a place in RAM, and what is there.
_PLACES = (build.ARGUMENT, 4096), (build.DESCRIPTORS, 64), (build.PAGE_TABLES, 512), (build.SETUP_DATA, 64)
MAX_LENGTH = sum(size for _, size in _PLACES)


def seeds():
    return {"good": b"".join(bytes(_HANDOFF.ram.view(*place)) for place in _PLACES)}


def target(data):
    ram, before = _HANDOFF.ram, seeds()["good"]
    try:
        write(data)
        state = _STATE | x86.collect(ram, _HANDOFF.registers)
        verdicts = judge(state, ram, Given(None, 0, _HANDOFF.options, _HANDOFF.given))
        assert all(each.sentence for each in verdicts)
    finally:
        write(before)


def write(data):
    at = 0
    for place, size in _PLACES:
        _HANDOFF.ram.write(place, data[at : at + size])
        at += size
