"""Guest RAM beside a dictionary of bytes."""

import hashlib
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efi_services.ports import MemoryFault
from shim.machine.ram import Ram
from shim.pages import PAGE

# Two ranges with a gap between them that is as large as a page.
LOW, HIGH = (0x2000, 0x5000), (0x6000, 0x8000)
RANGES = (LOW, HIGH)


@pytest.fixture
def ram():
    return Ram(RANGES)


def naive_digest(content):
    """*content*: the bytes by page address."""
    sha = hashlib.sha256()
    for address in sorted(content):
        if any(content[address]):
            sha.update(address.to_bytes(8, "little") + content[address])
    return sha.hexdigest()


def pages_of(ram):
    return {page: bytes(ram.view(page, PAGE)) for start, end in ram.ranges for page in range(start, end, PAGE)}


def test_it_starts_as_zeroes_of_the_right_size(ram):
    assert ram.size == 0x5000
    assert [(address, size) for address, size, _ in ram.blocks()] == [(0x2000, 0x3000), (0x6000, 0x2000)]
    assert all(not any(page) for page in pages_of(ram).values())


def test_the_ranges_lie_behind_each_other_on_the_host(ram):
    (_, size, first), (_, _, second) = ram.blocks()
    assert second == first + size


def test_what_is_written_is_read_in_both_ranges(ram):
    ram.write(0x2000, b"first")
    ram.write(0x7FFB, b"last!")
    assert (ram.read(0x2000, 5), ram.read(0x7FFB, 5)) == (b"first", b"last!")
    assert bytes(ram.view(0x7FFB, 5)) == b"last!"


@pytest.mark.parametrize(
    ("address", "size"),
    [
        (0x1FFF, 1),  # before the first range
        (0x1FFF, 2),  # into it
        (0x4FFF, 2),  # out of it
        (0x5000, 1),  # in the gap
        (0x4FFF, 0x1002),  # across the gap: both ends are RAM
        (0x2000, 0x6000),  # both ranges and the gap
        (0x7FFF, 2),  # out of the last
        (0x8000, 1),
        ((1 << 64) - 1, 1),
        ((1 << 64) - 1, 2),
        (0, 1),
        (0x2000, 1 << 64),
    ],
)
def test_outside_ram_everything_faults_and_changes_nothing(ram, address, size):
    ram.fill(0x2000, 0x3000, 0x11)
    ram.fill(0x6000, 0x2000, 0x22)
    before, counts = pages_of(ram), (ram.bytes_read, ram.bytes_written)
    ram.changed = lambda *_: pytest.fail("nothing has changed")
    ram.touched = lambda *_: pytest.fail("nothing was touched")
    inside = 0x2000
    for write, attempt in (
        (False, lambda: ram.read(address, size)),
        (False, lambda: ram.view(address, size)),
        (True, lambda: ram.fill(address, size, 0xFF)),
        (False, lambda: ram.copy(inside, address, size)) if size < 0x1000 else (None, None),
        (True, lambda: ram.copy(address, inside, size)),
        (True, lambda: ram.write(address, b"\xff" * size)) if size < 1 << 20 else (None, None),
    ):
        if attempt is None:
            continue
        with pytest.raises(MemoryFault) as caught:
            attempt()
        assert (caught.value.address, caught.value.size, caught.value.write) == (address, size, write)
    assert pages_of(ram) == before
    assert (ram.bytes_read, ram.bytes_written) == counts


@given(
    st.integers(0, 0x2FFF),
    st.integers(0, 0x2FFF),
    st.integers(0, 0x2000),
    st.binary(min_size=1, max_size=64),
)
@settings(deadline=None, max_examples=60, database=None)
def test_copy_moves_as_memmove_does(source, destination, size, pattern):
    size = min(size, 0x3000 - source, 0x3000 - destination)
    ram = Ram(RANGES)
    model = bytearray((pattern * 0x3000)[:0x3000])
    ram.write(0x2000, bytes(model))
    ram.copy(0x2000 + destination, 0x2000 + source, size)
    model[destination : destination + size] = bytes(model[source : source + size])
    assert ram.read(0x2000, 0x3000) == bytes(model)


def test_copy_goes_from_range_to_range(ram):
    ram.write(0x4FF0, b"0123456789abcdef")
    ram.copy(0x6000, 0x4FF0, 16)
    assert ram.read(0x6000, 16) == b"0123456789abcdef"


def test_fill_stays_within_its_bounds(ram):
    ram.fill(0x3001, 0x1FFE, 0xA5)
    assert ram.read(0x3000, 2) == b"\0\xa5"
    assert ram.read(0x4FFE, 2) == b"\xa5\0"
    assert ram.read(0x3001, 0x1FFE) == b"\xa5" * 0x1FFE
    assert not any(ram.read(0x6000, 0x2000))


def test_counters_and_notifications(ram):
    changed, touched = [], []
    ram.changed = lambda *args: changed.append(args)
    ram.touched = lambda *args: touched.append(args)
    ram.write(0x2010, b"abc")
    ram.read(0x2010, 2)
    ram.fill(0x6000, 0x1000, 1)
    ram.copy(0x3000, 0x6000, 8)
    # What the host does for itself is no access.
    ram.view(0x2000, 0x3000)
    assert changed == [(0x2010, 3), (0x6000, 0x1000), (0x3000, 8)]
    assert touched == [
        (0x2010, 3, True),
        (0x2010, 2, False),
        (0x6000, 0x1000, True),
        (0x6000, 8, False),
        (0x3000, 8, True),
    ]
    assert (ram.bytes_read, ram.bytes_written) == (2 + 8, 3 + 0x1000 + 8)


def test_changed_is_told_when_the_bytes_are_there(ram):
    seen = []
    ram.changed = lambda address, size: seen.append(bytes(ram.view(address, size)))
    ram.write(0x2000, b"new")
    ram.fill(0x2000, 2, 0x7A)
    ram.copy(0x2001, 0x2002, 1)
    assert seen == [b"new", b"zz", b"w"]


def test_used_pages_are_those_that_are_not_zero(ram):
    ram.write(0x2FFF, b"x")
    ram.write(0x4000, b"\0" * PAGE)  # in use, and zero all the same
    ram.write(0x6000, b"y")
    ram.write(0x7000, b"gone")
    ram.fill(0x7000, 4, 0)
    found = list(ram.used_pages())
    assert [address for address, _ in found] == [0x2000, 0x6000]
    assert [bytes(page) for _, page in found] == [bytes(ram.view(0x2000, PAGE)), bytes(ram.view(0x6000, PAGE))]


@given(st.lists(st.tuples(st.integers(0, 0x4FFF), st.binary(max_size=300)), max_size=12))
@settings(deadline=None, max_examples=60, database=None)
def test_the_digest_is_that_of_the_bytes(writes):
    ram = Ram(RANGES)
    for offset, data in writes:
        address = offset + (LOW[0] if offset < 0x3000 else HIGH[0] - 0x3000)
        end = next(end for start, end in RANGES if start <= address < end)
        ram.write(address, data[: end - address])
    assert ram.digest() == naive_digest(pages_of(ram))


def test_the_digest_knows_the_address(ram):
    other = Ram(RANGES)
    ram.write(0x2000, b"x")
    other.write(0x3000, b"x")
    assert ram.digest() != other.digest()


def test_pages_written_with_zeroes_do_not_change_the_digest(ram):
    ram.write(0x3000, b"x")
    before = ram.digest()
    ram.fill(0x6000, 0x2000, 0)
    ram.write(0x2000, bytes(PAGE))
    assert ram.digest() == before


def test_ram_that_nobody_touched_costs_nothing():
    size = 64 << 30
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ram = Ram(((0, size),))
    ram.write(size - 3, b"end")
    ram.write(1 << 33, b"middle")
    assert ram.read(1 << 33, 6) == b"middle"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    # Room for a huge page around each of the two writes, and for noise.
    assert grown < 64 << 20
