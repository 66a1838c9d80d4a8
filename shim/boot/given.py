"""What a run folder has for going on: the state at the kernel entry, the RAM, and the machine it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError

from shim.config.platform import Platform, load_platform
from shim.errors import UnreadableError
from shim.handoff.ram_image import FILE, RamImage

if TYPE_CHECKING:
    from shim.trace.folder import RunFolder

Word = Annotated[int, Field(ge=0, lt=1 << 64, strict=True)]
_STATE = "handoff/state.json"


class Descriptor(BaseModel):
    """A range of the EFI memory map."""

    start: Word
    pages: Annotated[int, Field(ge=0, le=1 << 36, strict=True)]
    type: Word


class Variable(BaseModel):
    """A variable, as it is read."""

    name: str = Field(max_length=1 << 16)
    vendor: UUID
    attributes: Annotated[int, Field(ge=0, lt=1 << 32, strict=True)]
    data: str = Field(pattern=r"^([0-9a-f]{2})*$")


class State(BaseModel):
    """Of handoff/state.json, what a CPU has to be told."""

    architecture: Literal["x86_64", "aarch64", "riscv64", "i386", "arm"]
    entry: Word
    registers: dict[str, Word]
    memory_map: list[Descriptor] = Field(max_length=1 << 16)
    configuration_tables: dict[str, Word]
    system_table: Word
    variables: list[Variable] = Field(default=[], max_length=1 << 12)


@dataclass(frozen=True, slots=True)
class Given:
    """A run to go on with."""

    state: State
    platform: Platform
    ram: RamImage


def given(run: RunFolder) -> Given:
    """What is in a run folder; raises UnreadableError where it is not all there, or of different runs."""
    state = run.json(_STATE)
    if state is None:
        raise UnreadableError(f"{run.path}: no kernel entry was reached, so there is nothing to go on from")
    try:
        found = State.model_validate(state)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UnreadableError(f"{run.path / _STATE}: {where}: {first['msg']}") from None
    if (found.entry, found.registers) != (run.report.handoff.entry, run.report.handoff.registers):
        raise UnreadableError(f"{run.path / _STATE}: not the hand-off that run.json tells of")
    path = run.path / "platform.toml"
    platform = load_platform(str(path))
    # Of the file: a later version may say more of the same platform.
    if hashlib.sha256(path.read_bytes()).hexdigest() != run.report.platform.sha256:
        raise UnreadableError(f"{path}: not the platform that run.json tells of")
    if not (run.path / FILE).exists():
        raise UnreadableError(f"{run.path}: the run kept no RAM; make it again with --dump-ram")
    return Given(found, platform, RamImage(run.path / FILE, platform.memory.ranges))
