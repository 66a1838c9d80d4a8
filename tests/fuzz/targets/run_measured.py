"""What a run folder keeps for measuring: inputs, what the kernel was handed, registers, and the firmware's log.

The input is JSON of {file: its text}; the four profiles make of the folder what they can.
"""

import json

import event_logs
from loading import borrow, scratch

from efi_services.tcg.piece import piece
from shim.errors import ShimError
from shim.measure import pieces
from shim.measure.profiles import PROFILES
from shim.trace.folder import RunFolder

ERRORS = (ShimError,)
_RUN = scratch()
_LOG = "eventlog.bin"
_FILES = ("inputs.json", "handoff/pieces.json", "measurements.json", _LOG)
_reports = borrow("tests/shim/conftest.py")
_run = RunFolder(_RUN, _reports.RunReport(**_reports.REPORT))


def seeds():
    (_RUN / "handoff").mkdir(exist_ok=True)
    pieces.save(_RUN / pieces.INPUTS, pieces.inputs("quiet", b"initrd"))
    pieces.save(_RUN / pieces.HANDED, [piece("boot_params", bytes(4096), 0x1000), piece("initrd", b"initrd", 0x2000)])
    about = {"sets": [{"kind": "tpm", "file": _LOG, "algorithms": ["sha1", "sha256"], "unknown": [0, 2]}]}
    whole = {
        "inputs.json": (_RUN / pieces.INPUTS).read_text(),
        "handoff/pieces.json": (_RUN / pieces.HANDED).read_text(),
        "measurements.json": json.dumps(about),
        _LOG: event_logs.write("tcg2", event_logs.PCRS).decode("latin-1"),
    }
    made = {"whole": whole} | {name.replace("/", "-"): {name: text} for name, text in whole.items()}
    return {name: json.dumps(files).encode() for name, files in made.items()}


def target(data):
    try:
        files = json.loads(data)
    except (ValueError, RecursionError):
        return
    (_RUN / "handoff").mkdir(exist_ok=True)
    (_RUN / "handoff" / "boot_params.bin").write_bytes(bytes(4096))
    for name in _FILES:
        text = files.get(name) if isinstance(files, dict) else None
        (_RUN / name).unlink(missing_ok=True)
        if isinstance(text, str):
            (_RUN / name).write_bytes(text.encode("latin-1" if name == _LOG else "utf-8", "replace"))
    refusals = []
    for profile in PROFILES.values():
        try:
            for one in profile.measure(_run, {}).sets:
                one.registers()
        except ShimError as refusal:
            refusals.append(refusal)
    if refusals:
        raise refusals[0]
