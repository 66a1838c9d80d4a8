"""Verdicts as they are kept in a run folder."""

from __future__ import annotations

import json

import pytest

from shim.errors import UnreadableError
from shim.handoff.verdicts.verdict import FILE, Outcome, Verdict, from_json, kept, to_json

VERDICTS = [Verdict("one", Outcome.OK, "so it is"), Verdict("two", Outcome.FAILED, "so it is not")]


@pytest.fixture
def run(tmp_path):
    (tmp_path / FILE).parent.mkdir()
    return tmp_path


def test_what_is_kept_is_read_again(run):
    (run / FILE).write_text(to_json(VERDICTS))
    assert kept(run) == VERDICTS


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '[{"rule": "one", "outcome": "perhaps", "sentence": ""}]', "[" * 100_000]
)
def test_damage(run, text):
    (run / FILE).write_text(text)
    with pytest.raises(UnreadableError, match="damaged"):
        kept(run)


def test_none(run):
    with pytest.raises(UnreadableError, match="No such file"):
        kept(run)


@pytest.mark.parametrize("rows", [None, 1, [None], [{"rule": "one"}]])
def test_no_verdicts(rows):
    with pytest.raises(ValueError, match="no verdicts"):
        from_json(rows)


def test_for_other_programs():
    assert json.loads(to_json(VERDICTS))[1] == {"rule": "two", "outcome": "failed", "sentence": "so it is not"}
