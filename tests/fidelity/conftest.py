"""Two boots to compare."""

from __future__ import annotations

import pytest

from canned import BANKS, observed, ours_and_theirs
from shim.measure.model import Measurements


@pytest.fixture
def pair():
    """Two boots that differ in nothing but the machine's own part: what ours measures and shows, and the real one."""
    here, there = ours_and_theirs()
    return Measurements("tpm", BANKS, tuple(here), frozenset({0, 2})), observed(here), observed(there)


@pytest.fixture
def build():
    """Makes an `Observed` of events, and of fields that are to be others."""
    return observed
