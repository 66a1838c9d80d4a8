"""The tables of a run folder: one definition of each row, from which the files, the queries and the docs come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, Arrow's name of its type, and what it holds."""

    name: str
    type: str
    doc: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name is its file's, and its view's in queries."""

    name: str
    doc: str
    columns: tuple[Column, ...]

    def schema(self) -> pa.Schema:
        """The Arrow schema, each column's meaning in its metadata."""
        import pyarrow as pa

        types: dict[str, Any] = {"bool": pa.bool_()}
        return pa.schema(
            [
                pa.field(each.name, types.get(each.type) or pa.type_for_alias(each.type), metadata={"doc": each.doc})
                for each in self.columns
            ],
            metadata={"doc": self.doc},
        )


CALLS = Table(
    "calls",
    "Every call of a firmware service; seq is the order in which they began.",
    (
        Column("seq", "uint64", "number of the call, from 0"),
        Column("parent", "uint64", "the call during which the firmware let the calling code run; null at the top"),
        Column("depth", "uint32", "how many calls are around it"),
        Column("image", "string", "the image that called; empty for code outside every image"),
        Column("pc", "uint64", "address of the service's gate"),
        Column("caller", "uint64", "address to which the service returns"),
        Column("table", "string", "where callers find it: boot, runtime or protocol"),
        Column("service", "string", "the specification's name"),
        Column("protocol", "string", "name of the protocol that it is a method of"),
        Column("arguments", "string", "decoded arguments at the call, JSON"),
        Column("results", "string", "what the service answered through its pointers, JSON"),
        Column("status", "string", "EFI status; null where the service gives none or never returned"),
        Column("bytes_in", "uint64", "guest memory that the service read"),
        Column("bytes_out", "uint64", "guest memory that the service wrote"),
        Column("t_virtual_ns", "uint64", "virtual time at the call, nanoseconds since power-on"),
    ),
)

REGIONS = Table(
    "regions",
    "Who owned which bytes, and when.",
    (
        Column("id", "uint32", "number of the region, from 1; 0 stands for memory that nobody owns"),
        Column("start", "uint64", "first address"),
        Column("end", "uint64", "first address behind it"),
        Column("kind", "string", "image, stack, pages, pool or firmware"),
        Column("owner", "string", "the image whose call made it; empty for the firmware's own"),
        Column("name", "string", "section, memory type, or what the firmware keeps there"),
        Column("born_call", "uint64", "the call that made it; null before the first"),
        Column("died_call", "uint64", "the call that ended it; null while it lived to the end"),
        Column("bytes_read", "uint64", "bytes that the CPU read there, repeats counted; null at level calls"),
        Column("bytes_written", "uint64", "bytes that the CPU wrote there, repeats counted; null at level calls"),
    ),
)

TOUCHED = Table(
    "touched",
    "Every memory access, folded by region, program counter, direction and size.",
    (
        Column("origin", "string", "cpu, or service for what the firmware reads and writes for the guest"),
        Column("region", "uint32", "id in regions; 0 for memory that nobody owned"),
        Column("pc", "uint64", "instruction that did it; the gate of the service for origin service"),
        Column("write", "bool", "whether it wrote"),
        Column("size", "uint8", "bytes of one access; 0 for origin service, whose accesses differ in size"),
        Column("count", "uint64", "how many"),
        Column("bytes", "uint64", "their bytes, repeats counted"),
        Column("first_seq", "uint64", "number of the first of them among the CPU's accesses; null for origin service"),
        Column("last_seq", "uint64", "number of the last of them; null for origin service"),
        Column("first_call", "uint64", "service calls that had begun by the first of them"),
        Column("last_call", "uint64", "service calls that had begun by the last of them"),
    ),
)

COVERAGE = Table(
    "coverage/bytes",
    "Which bytes the CPU touched at all, as runs.",
    (
        Column("region", "uint32", "id in regions; what nobody owned is not covered"),
        Column("write", "bool", "whether it wrote them"),
        Column("start", "uint64", "first address of the run"),
        Column("end", "uint64", "first address behind it"),
    ),
)

TABLES = (CALLS, REGIONS, TOUCHED, COVERAGE)
