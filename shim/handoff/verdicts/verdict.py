"""What a rule comes to, and how that is kept in a run folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from shim.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE = "handoff/verdicts.json"


class Outcome(StrEnum):
    """What a rule may come to."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule came to, and why, in a sentence."""

    rule: str
    outcome: Outcome
    sentence: str


def to_json(verdicts: Sequence[Verdict]) -> str:
    """As they are kept in a run folder."""
    return json.dumps([asdict(each) for each in verdicts], indent=2) + "\n"


def from_json(rows: Any) -> list[Verdict]:
    """Verdicts that were kept; raises ValueError where they are none."""
    try:
        return [Verdict(str(each["rule"]), Outcome(each["outcome"]), str(each["sentence"])) for each in rows]
    except (KeyError, TypeError):
        raise ValueError("no verdicts") from None


def kept(run: Path) -> list[Verdict]:
    """The verdicts in a run folder; raises UnreadableError."""
    path = run / FILE
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UnreadableError(f"{path}: damaged") from None
