"""Which of what came from outside the stub did read, how much of it, and with which code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shim.errors import UnreadableError
from shim.measure import pieces

if TYPE_CHECKING:
    from pathlib import Path

    from efi_services.tcg.piece import Piece
    from shim.trace.folder import RunFolder

#: A stack holds much else beside an input, so that reads of it tell nothing of one.
_READERS = """
WITH reads AS (
    SELECT t.pc, sum(t.bytes) AS bytes FROM touched t JOIN regions r ON r.id = t.region
    WHERE t.origin = 'cpu' AND NOT t.write AND t.first_call >= $begun
    AND r.kind <> 'stack' AND r.start <= $address AND r.end > $address GROUP BY t.pc)
SELECT coalesce(f.name, printf('0x%x', reads.pc)) AS reader, sum(bytes)::UBIGINT AS bytes
FROM reads LEFT JOIN functions f ON reads.pc >= f.start AND reads.pc < f.end GROUP BY reader ORDER BY bytes DESC, reader
"""
_ON_STACK = """
SELECT count(*) FROM regions WHERE kind = 'stack' AND start <= $address AND "end" > $address
"""


@dataclass(frozen=True, slots=True)
class Consumed:
    """An input, the bytes that the CPU read of the memory that holds it (None: not known), and who read, most first."""

    piece: Piece
    bytes_read: int | None
    readers: tuple[str, ...] = ()

    @property
    def taken(self) -> bool:
        """Whether the stub asked for it, or read what was there from the start; it may have handed it on unread."""
        return self.piece.call is not None or self.bytes_read != 0


def consumed(run: RunFolder) -> list[Consumed]:
    """The inputs of a run in the order in which the stub got them."""
    found = pieces.load(run.path / pieces.INPUTS)
    if run.report.accesses.level != "exact":
        return [Consumed(each, None) for each in found]
    return _traced(run.path, found)


def _traced(folder: Path, found: list[Piece]) -> list[Consumed]:
    import duckdb

    made = []
    try:
        with duckdb.connect() as connection:
            for table in ("touched", "regions", "functions"):
                connection.read_parquet(str(folder / f"{table}.parquet")).create_view(table)
            for each in found:
                where = {"address": each.address}
                if not each.address or connection.execute(_ON_STACK, where).fetchall()[0][0]:
                    made.append(Consumed(each, None))
                    continue
                begun = 0 if each.call is None else each.call + 1
                rows = connection.execute(_READERS, {**where, "begun": begun}).fetchall()
                made.append(Consumed(each, sum(size for _, size in rows), tuple(reader for reader, _ in rows)))
    except duckdb.Error as error:
        first, *_ = str(error).splitlines()
        raise UnreadableError(f"{folder}: {first}") from None
    return made
