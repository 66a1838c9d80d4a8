"""The table of functions: names for the code that was executed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shim.trace.tables import BLOCKS, FUNCTIONS
from shim.trace.writer import TableWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from shim.trace.regions import Region

#: Bytes of one region that are searched for calls: a whole uncompressed kernel has half as many.
_MOST_SEARCHED = 128 << 20


@dataclass(frozen=True, slots=True)
class Code:
    """A region with code: what offsets in it count from, its name, and what is known of its functions."""

    region: Region
    origin: int
    name: str
    entries: tuple[int, ...] = ()
    symbols: Mapping[int, str] = field(default_factory=dict)


def write_functions(folder: Path, machine: str, pieces: Iterable[Code], read: Callable[[int, int], memoryview]) -> None:
    """Write the functions of *pieces* in which a block was executed; *read* gives memory by address and size.

    The ranges depend on the code alone, so they are the same whichever part of it a run executes.
    """
    import pyarrow.parquet as pq

    from shim.trace.functions import find_functions

    writer = TableWriter(folder, FUNCTIONS)
    # `read_table` would import twice as much.
    blocks = pq.ParquetFile(folder / f"{BLOCKS.name}.parquet").read(columns=["region", "start"])
    regions, starts = (blocks[name].to_numpy() for name in ("region", "start"))
    for piece in pieces:
        region = piece.region
        size = min(region.end - region.start, _MOST_SEARCHED)
        executed = starts[(regions == region.id) & (starts < region.start + size)]
        if not len(executed):
            continue
        known = piece.entries, piece.symbols, piece.name, piece.origin
        for each in find_functions(read(region.start, size), region.start, machine, *known, executed):
            writer.add((region.id, each.start, each.end, each.name))
    writer.close()
