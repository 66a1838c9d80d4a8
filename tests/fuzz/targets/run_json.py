"""run.json of a folder that came from somewhere."""

from loading import borrow, scratch

from shim.errors import UnreadableError
from shim.trace.folder import open_run

ERRORS = (UnreadableError,)
_FILE = scratch() / "run.json"


def seeds():
    examples = borrow("tests/shim/config/test_run.py")
    return {
        name.lower(): examples.RunReport(**getattr(examples, name)).to_json().encode() for name in ("LEAST", "MOST")
    }


def target(data):
    _FILE.write_bytes(data)
    report = open_run(_FILE.parent).report
    _FILE.write_text(report.to_json(), encoding="utf-8")
    assert open_run(_FILE.parent).report == report
