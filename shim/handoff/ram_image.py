"""RAM as a run keeps it: the pages that are not all zero, as a Parquet table that can be read in parts.

A row is a page: its address, and its 4096 bytes. Rows ascend. The statistics of the row groups, a mebibyte each, are
the index. Any reader of Parquet will do. Here it is read with suspicion, since somebody else may have made it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from contextlib import contextmanager
from functools import reduce
from itertools import islice, pairwise
from operator import or_
from typing import TYPE_CHECKING, Any

from shim.config.platform import load_platform
from shim.errors import UnreadableError
from shim.pages import PAGE, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

#: Its place in a run folder.
FILE = "handoff/ram.parquet"
#: Pages that are compressed together: what has to be read for one of them.
_GROUP = 256
#: zstd's fastest; the next ones take twice as long for a twentieth less.
_LEVEL = 1


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([
        pa.field("address", pa.uint64(), nullable=False),
        pa.field("page", pa.binary(PAGE), nullable=False),
    ])  # fmt: skip


def write(path: Path, pages: Iterable[tuple[int, memoryview]]) -> None:
    """Write an image of pages, which have to ascend; raises UnreadableError, and leaves nothing behind then."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, left = _schema(), iter(pages)
    try:
        with pq.ParquetWriter(
            path, schema, compression="zstd", compression_level=_LEVEL, use_dictionary=False,
            write_statistics=["address"], write_page_checksum=True,
        ) as writer:  # fmt: skip
            while group := list(islice(left, _GROUP)):
                addresses, contents = zip(*group, strict=True)
                data = pa.py_buffer(b"".join(contents))
                made = pa.FixedSizeBinaryArray.from_buffers(pa.binary(PAGE), len(group), [None, data])
                writer.write_table(pa.table([pa.array(addresses, pa.uint64()), made], schema=schema))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UnreadableError(f"{path}: {error.strerror or str(error).splitlines()[0]}") from None


def of_run(run: Path) -> RamImage:
    """The image in a run folder; raises UnreadableError, or UsageError for a platform that makes no sense."""
    return RamImage(run / FILE, load_platform(str(run / "platform.toml")).memory.ranges)


class RamImage:
    """The image in a file, of RAM in *ranges* of guest addresses.

    Raises:
        UnreadableError: there is none, or it is damaged, or not of such RAM; so do all methods.
    """

    def __init__(self, path: Path, ranges: tuple[tuple[int, int], ...]) -> None:
        import pyarrow.parquet as pq

        self.path = path
        self.ranges = ranges
        if not path.is_file():
            raise UnreadableError(f"{path}: not in this run folder")
        with self._refusing():
            # Checksums of the file's own pages are checked, so that damage is told from another image.
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            self._first = list(self._index())
        self._kept: tuple[int, dict[int, memoryview]] = (-1, {})

    @property
    def stored(self) -> int:
        """Bytes of the pages in the image."""
        return int(self._file.metadata.num_rows) * PAGE

    def pages(self) -> Iterator[tuple[int, memoryview]]:
        """Address and bytes of each page, ascending."""
        for number in range(len(self._first)):
            yield from self._group(number)

    def read(self, address: int, size: int) -> bytes:
        """*size* bytes at *address*; pages that the image has not are zero."""
        found, end = bytearray(), address + size
        while address < end:
            start = address & -PAGE
            part = self._page(start)[address - start : end - start]
            found += part
            address += len(part)
        return bytes(found)

    def digest(self) -> str:
        """As `Ram.digest` of the RAM that it was made of."""
        return digest_of(self.pages())

    def _index(self) -> Iterator[int]:
        """The first address of each row group, as far as the file tells the truth."""
        metadata, last = self._file.metadata, -1
        if not self._file.schema_arrow.equals(_schema()):
            raise ValueError("it has other columns than an image of RAM")
        if metadata.num_rows * PAGE > sum(end - start for start, end in self.ranges):
            raise ValueError("it has more pages than there is RAM")
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            known = group.column(0).statistics
            if known is None or not known.has_min_max or not 0 < group.num_rows <= _GROUP:
                raise ValueError("it has no index")
            if not last < known.min <= known.max:
                raise ValueError("its pages are in no order")
            yield known.min
            last = known.max

    def _page(self, start: int) -> memoryview:
        number = bisect_right(self._first, start) - 1
        if self._kept[0] != number:
            self._kept = number, dict(self._group(number)) if number >= 0 else {}
        return self._kept[1].get(start, memoryview(bytes(PAGE)))

    def _group(self, number: int) -> list[tuple[int, memoryview]]:
        """The pages of a row group, found to be in order, and in RAM."""
        with self._refusing():
            table = self._file.read_row_group(number, use_threads=False)
            addresses = [address for each in table.column("address").chunks for address in _addresses(each)]
            pages = [page for each in table.column("page").chunks for page in _pages(each)]
            following = [*self._first, self.ranges[-1][1]][number + 1]
            if len(pages) != len(addresses) or addresses[0] != self._first[number] or addresses[-1] >= following:
                raise ValueError("its index is not that of its pages")
            if any(second <= first for first, second in pairwise(addresses)):
                raise ValueError("its pages are in no order")
            inside = sum(bisect_left(addresses, end) - bisect_left(addresses, start) for start, end in self.ranges)
            if inside != len(addresses) or reduce(or_, addresses) % PAGE:
                raise ValueError("it has pages where there is no RAM")
        return list(zip(addresses, pages, strict=True))

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What the library and we ourselves object to, as one line."""
        import pyarrow as pa

        try:
            yield
        except (OSError, ValueError, pa.ArrowException, MemoryError) as error:
            first, *_ = str(error).splitlines() or ["damaged"]
            raise UnreadableError(f"{self.path}: {first}") from None


def _addresses(column: Any) -> list[int]:
    """The values of a column of addresses."""
    if column.null_count:
        raise ValueError("it has pages without an address")
    data = memoryview(column.buffers()[1]).cast("Q")
    return data[column.offset : column.offset + len(column)].tolist()


def _pages(column: Any) -> Iterator[memoryview]:
    """The values of a column of pages, where they lie."""
    if column.null_count:
        raise ValueError("it has pages without content")
    data = memoryview(column.buffers()[1])[column.offset * PAGE :]
    for at in range(0, len(column) * PAGE, PAGE):
        yield data[at : at + PAGE]
