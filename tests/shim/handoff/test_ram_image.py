"""Images of RAM: what is written is read again, in parts or whole, and what lies is refused."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.errors import UnreadableError
from shim.handoff import ram_image
from shim.handoff.ram_image import RamImage
from shim.machine.ram import Ram
from shim.pages import PAGE

LOW, HIGH = (0x1000, 0x80_0000), (1 << 40, (1 << 40) + 0x10_0000)
RANGES = LOW, HIGH
SCHEMA = pa.schema([
    pa.field("address", pa.uint64(), nullable=False), pa.field("page", pa.binary(PAGE), nullable=False)
])  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ram.parquet"


def saved(path, ram):
    ram_image.write(path, ram.used_pages())
    return RamImage(path, ram.ranges)


@given(
    st.lists(
        st.tuples(st.sampled_from(RANGES), st.integers(0, 0xF_FFFF), st.binary(min_size=1, max_size=9000)), max_size=9
    )
)
@settings(max_examples=40, deadline=None)
def test_an_image_is_the_ram(tmp_path_factory, writes):
    ram = Ram(RANGES)
    for (start, end), offset, data in writes:
        ram.write(min(start + offset, end - len(data)), data)
    found = saved(tmp_path_factory.mktemp("image") / "ram.parquet", ram)
    assert found.digest() == ram.digest()
    assert [(at, bytes(page)) for at, page in found.pages()] == [(at, bytes(page)) for at, page in ram.used_pages()]
    assert found.stored == PAGE * len(list(ram.used_pages()))
    for (start, end), offset, _ in writes:
        at = min(start + offset, end - 8192)
        assert found.read(at, 8192) == bytes(ram.view(at, 8192))


def test_many_groups_are_read_in_parts(path):
    ram = Ram(RANGES)
    for at in range(*LOW, PAGE):
        ram.write(at, at.to_bytes(8, "little") * 512)
    found = saved(path, ram)
    assert pq.ParquetFile(path).num_row_groups == 8
    for at in (0x1000, 0x10_0FFC, 0x7F_FFF0, 0x40_0000):
        assert found.read(at, 16) == (bytes(ram.view(at, 16)))


def test_empty_ram(path):
    found = saved(path, Ram(RANGES))
    assert (found.stored, list(found.pages())) == (0, [])
    assert found.read(0x2000, 5) == bytes(5)


def test_pages_compress_as_well_together_as_alone(path):
    ram = Ram(((0, 32 << 20),))
    noise = hashlib.shake_128(b"").digest(4 << 20)
    for at in range(0, 32 << 20, 64):
        ram.write(at, noise[at // 8 : at // 8 + 24])
    saved(path, ram)
    alone = len(pa.Codec("zstd", compression_level=1).compress(bytes(ram.view(0, 32 << 20)), asbytes=True))
    assert path.stat().st_size < 1.2 * alone


def test_no_file(path):
    with pytest.raises(UnreadableError, match="not in this run folder"):
        RamImage(path, RANGES)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"rubbish" * 100])
def test_no_image(path, data):
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match=r"ram\.parquet: "):
        RamImage(path, RANGES)


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9, 0.999])
def test_a_damaged_image(path, at):
    ram = Ram(RANGES)
    for page in range(LOW[0], LOW[1], PAGE):
        ram.write(page, page.to_bytes(4, "little") * 8)
    saved(path, ram)
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 0x55
    path.write_bytes(data)
    # What is not of the pages may be damaged, such as the name of the program that wrote the file.
    with suppress(UnreadableError):
        assert RamImage(path, RANGES).digest() == ram.digest()


def test_damage_to_a_page_is_noticed(path):
    ram = Ram(RANGES)
    ram.write(0x2000, hashlib.shake_128(b"").digest(PAGE))
    saved(path, ram)
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match=r"ram\.parquet: [^\n]*$"):
        RamImage(path, RANGES).digest()


def lying(path, groups, schema=SCHEMA, **options):
    given = {"write_statistics": ["address"], "use_dictionary": False, **options}
    with pq.ParquetWriter(path, schema, **given) as writer:
        for addresses in groups:
            columns = [pa.array(addresses, schema[0].type), pa.array([b"x" * PAGE] * len(addresses), schema[1].type)]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=1 << 20)


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ([[0x2000, 0x1000]], "its index is not that of its pages"),
        ([[0x2000], [0x1000]], "in no order"),
        ([[0x1000, 0x1000]], "in no order"),
        ([[0x1000, 0x3000, 0x2000, 0x4000]], "in no order"),
        ([[0x1000, 0x2000], [0x2000]], "in no order"),
        ([[0x1800]], "where there is no RAM"),
        ([[0x0]], "where there is no RAM"),
        ([[0x90_0000]], "where there is no RAM"),
        ([[1 << 50]], "its index is not"),
        ([list(range(0x1000, 0x1000 + 257 * PAGE, PAGE))], "no index"),
        ([list(range(0x1000 + n * PAGE, 0x1000 + (n + 256) * PAGE, PAGE)) for n in range(0, 2560, 256)], "more pages"),
    ],
)
def test_an_image_that_lies(path, groups, why):
    lying(path, groups)
    with pytest.raises(UnreadableError, match=why):
        RamImage(path, RANGES).digest()


def test_an_image_without_an_index(path):
    lying(path, [[0x1000]], write_statistics=False)
    with pytest.raises(UnreadableError, match="no index"):
        RamImage(path, RANGES)


def test_another_table(path):
    other = pa.schema([pa.field("address", pa.uint64()), pa.field("page", pa.binary(8 * PAGE))])
    lying(path, [], schema=other)
    with pytest.raises(UnreadableError, match="other columns"):
        RamImage(path, RANGES)


def test_nothing_is_left_where_it_can_not_be_written(tmp_path):
    (tmp_path / "ram.parquet").mkdir()
    with pytest.raises(UnreadableError):
        ram_image.write(tmp_path / "ram.parquet" / "x" / "y", iter(()))


def test_nothing_is_left_of_an_image_that_does_not_fit(path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    ram = Ram(RANGES)
    ram.write(0x2000, b"x")
    with pytest.raises(UnreadableError, match="No space left"):
        ram_image.write(path, ram.used_pages())
    assert not path.exists()
