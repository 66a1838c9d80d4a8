"""Opening a run folder that somebody made, somewhere, with some version."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, ValidationError

from shim.config.run import SCHEMA, RunReport
from shim.errors import UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run folder and what its run.json says; *payload* is where its payload lies, if somebody told."""

    path: Path
    report: RunReport
    payload: Path | None = None

    def table(self, name: str) -> pa.Table:
        """One of its tables; raises UnreadableError where the file is missing or damaged."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.path / f"{name}.parquet"
        if not path.is_file():
            raise UnreadableError(f"{path}: not in this run folder")
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            first, *_ = str(error).splitlines() or ["damaged"]
            raise UnreadableError(f"{path}: {first}") from None

    def json(self, name: str) -> dict[str, Any] | None:
        """One of its JSON files, None where it isn't there; raises UnreadableError for a damaged one."""
        path = self.path / name
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except RecursionError:
            raise UnreadableError(f"{path}: nested too deeply") from None
        except (OSError, ValueError) as error:
            raise UnreadableError(f"{path}: {error}") from None
        if not isinstance(found, dict):
            raise UnreadableError(f"{path}: no JSON object")
        return found


class _Versioned(BaseModel):
    schema_: str = Field(alias="schema")


def open_run(path: Path, payload: Path | None = None) -> RunFolder:
    """The run in *path*, whose payload is *payload*; raises UnreadableError where there is none that we understand."""
    file = path / "run.json"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if not file.exists() and (path / "platform.toml").exists():
            raise UnreadableError(f"{path}: this run goes on still, or was killed; it has no run.json") from None
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise UnreadableError(f"{file}: {why}; is this a run folder?") from None
    try:
        # First of all: a later version's description may differ in everything else.
        schema = _Versioned.model_validate_json(text).schema_
        if schema != SCHEMA:
            raise UnreadableError(f"{file}: of schema {schema}, this version reads {SCHEMA}")
        return RunFolder(path, RunReport.model_validate_json(text), payload)
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{each}." for each in first["loc"]).rstrip(".")
        raise UnreadableError(": ".join(filter(None, (str(file), where, first["msg"])))) from None
