"""The tables of a run folder: one definition of each row, from which the files, the queries and the docs come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_NUMPY = {"bool": "?", "uint8": "u1", "uint32": "<u4", "uint64": "<u8"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, Arrow's name of its type, what it holds, and whether that is an address.

    Where it can hold one of a few words only, *words* are these; packed rows have their numbers.
    """

    name: str
    type: str
    doc: str
    address: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name is its file's; *in_order*: rows come in any order, and are written by their first column."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    in_order: bool = False

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

    def dtype(self) -> np.dtype[Any]:
        """Rows as native code packs them: little-endian, without gaps; a number of all ones stands for null."""
        import numpy as np

        return np.dtype([(each.name, "u1" if each.words else _NUMPY[each.type]) for each in self.columns])

    def unpack(self, rows: bytes) -> list[pa.Array]:
        """The columns of packed rows."""
        import numpy as np
        import pyarrow as pa

        packed = np.frombuffer(rows, self.dtype())
        columns = []
        # From buffers: `pa.array` of a NumPy array, and `take`, would import several times as much as all this takes.
        for each, field in zip(self.columns, self.schema(), strict=True):
            values, valid = packed[each.name], None
            if each.words:
                columns.append(pa.array([each.words[number] for number in values.tolist()], field.type))
                continue
            if each.type == "uint64":
                valid = pa.py_buffer(np.packbits(values != np.iinfo(np.uint64).max, bitorder="little"))
            data = np.packbits(values, bitorder="little") if each.type == "bool" else np.ascontiguousarray(values)
            columns.append(pa.Array.from_buffers(field.type, len(values), [valid, pa.py_buffer(data)]))
        return columns


CALLS = Table(
    "calls",
    "Every call of a firmware service; seq is the order in which they began.",
    (
        Column("seq", "uint64", "number of the call, from 0"),
        Column("parent", "uint64", "the call during which the firmware let the calling code run; null at the top"),
        Column("depth", "uint32", "how many calls are around it"),
        Column("image", "string", "the image that called; empty for code outside every image"),
        Column("pc", "uint64", "address of the service's gate", address=True),
        Column("caller", "uint64", "address to which the service returns", address=True),
        Column("table", "string", "where callers find it: boot, runtime or protocol"),
        Column("service", "string", "the specification's name"),
        Column("protocol", "string", "name of the protocol that it is a method of"),
        Column("arguments", "string", "decoded arguments at the call, JSON"),
        Column("results", "string", "what the service answered through its pointers, JSON"),
        Column("status", "string", "EFI status; null where the service gives none or never returned"),
        Column("bytes_in", "uint64", "guest memory that the service read"),
        Column("bytes_out", "uint64", "guest memory that the service wrote"),
        Column("t_virtual_ns", "uint64", "virtual time at the call, nanoseconds since power-on"),
        Column("first_access", "uint64", "accesses of the CPU before the call; null at level calls"),
    ),
    in_order=True,
)

REGIONS = Table(
    "regions",
    "Who owned which bytes, and when.",
    (
        Column("id", "uint32", "number of the region, from 1; 0 stands for memory that nobody owns"),
        Column("start", "uint64", "first address", address=True),
        Column("end", "uint64", "first address behind it", address=True),
        Column("kind", "string", "image, stack, pages, pool or firmware"),
        Column("owner", "string", "the image whose call made it; empty for the firmware's own"),
        Column("type", "string", "its memory type in the memory map"),
        Column("name", "string", "section, what the firmware keeps or has put there, what the kernel finds there"),
        Column("born_call", "uint64", "the call that made it; null before the first"),
        Column("died_call", "uint64", "the call that ended it; null while it lived to the end"),
        Column("bytes_read", "uint64", "bytes that the CPU read there, repeats counted; null at level calls"),
        Column("bytes_written", "uint64", "bytes that the CPU wrote there, repeats counted; null at level calls"),
    ),
    in_order=True,
)

TOUCHED = Table(
    "touched",
    "Every memory access, folded by region, program counter, direction and size within the interval between two calls.",
    (
        Column(
            "origin",
            "string",
            "cpu, or service for what the firmware reads and writes for the guest",
            words=("cpu", "service"),
        ),
        Column("region", "uint32", "id in regions; 0 for memory that nobody owned"),
        Column("pc", "uint64", "instruction that did it; the gate of the service for origin service", address=True),
        Column("write", "bool", "whether it wrote"),
        Column("size", "uint8", "bytes of one access; 0 for origin service, whose accesses differ in size"),
        Column("count", "uint64", "how many"),
        Column("bytes", "uint64", "their bytes, repeats counted"),
        Column("first_seq", "uint64", "number of the first of them among the CPU's accesses; null for origin service"),
        Column("last_seq", "uint64", "number of the last of them; null for origin service"),
        Column("first_call", "uint64", "service calls that had begun by the first of them"),
        Column("last_call", "uint64", "service calls that had begun by the last of them"),
        Column("findings", "uint64", "how many of them are counted among the findings"),
    ),
)

BYTES = Table(
    "coverage/bytes",
    "Which bytes the CPU touched at all, as runs.",
    (
        Column("region", "uint32", "id in regions; what nobody owned is not covered"),
        Column("write", "bool", "whether it wrote them"),
        Column("start", "uint64", "first address of the run", address=True),
        Column("end", "uint64", "first address behind it", address=True),
    ),
)

BLOCKS = Table(
    "coverage/blocks",
    "Instruction fetches: every block of code that was executed in the interval between two calls.",
    (
        Column("region", "uint32", "id in regions; 0 for memory that nobody owned"),
        Column("start", "uint64", "address of its first instruction", address=True),
        Column("size", "uint32", "bytes of code; the engine ends a block at a jump, a page's end, or where it is long"),
        Column("count", "uint64", "how often it was executed"),
        Column("call", "uint64", "service calls that had begun"),
    ),
)

ACCESSES = Table(
    "accesses",
    "Every memory access of the CPU in order, in files that are named by the number of their first row.",
    (
        Column("pc", "uint64", "instruction that did it", address=True),
        Column("address", "uint64", "first byte", address=True),
        Column("size", "uint8", "bytes: 1, 2, 4 or 8"),
        Column("write", "bool", "whether it wrote"),
        Column("region", "uint32", "id in regions; 0 for memory that nobody owned"),
        Column("call", "uint64", "service calls that had begun"),
    ),
)

FUNCTIONS = Table(
    "functions",
    "Code by function: from the payload's symbols, else from where its call instructions lead.",
    (
        Column("region", "uint32", "id in regions"),
        Column("start", "uint64", "first address", address=True),
        Column("end", "uint64", "first address behind it", address=True),
        Column("name", "string", "the symbol, or image and offset"),
    ),
)

PRIVILEGED = Table(
    "privileged",
    "Privileged instructions of a payload in user mode that were performed for it.",
    (
        Column("pc", "uint64", "the instruction", address=True),
        Column("image", "string", "the image that it lies in; empty for code outside every image"),
        Column("instruction", "string", "its text"),
        Column("name", "string", "its kind"),
        Column("meaning", "string", "what it did"),
        Column("count", "uint64", "how often it did that"),
        Column("first_call", "uint64", "service calls that had begun by the first time"),
    ),
    in_order=True,
)

SBI = Table(
    "sbi",
    "Every call of what runs below a RISC-V machine's firmware; seq is their order.",
    (
        Column("seq", "uint64", "number of the call, from 0"),
        Column("pc", "uint64", "the instruction that made it", address=True),
        Column("image", "string", "the image that it lies in; empty for code outside every image"),
        Column("extension", "string", "the specification's name, or the number where it has none"),
        Column("function", "string", "the same"),
        Column("arguments", "string", "registers a0 to a5, JSON"),
        Column("error", "string", "the answer: SBI_SUCCESS or SBI_ERR_NOT_SUPPORTED"),
        Column("value", "uint64", "the value beside it"),
        Column("call", "uint64", "service calls that had begun"),
    ),
    in_order=True,
)

TABLES = (CALLS, PRIVILEGED, SBI, REGIONS, TOUCHED, BYTES, BLOCKS, FUNCTIONS, ACCESSES)
