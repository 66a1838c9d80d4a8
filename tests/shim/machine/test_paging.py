"""The page tables, read back by a walker of the test's own."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efi_services.ports import Access
from shim.machine.aarch64 import AARCH64
from shim.machine.arm import ARM
from shim.machine.i386 import I386
from shim.machine.paging import LARGE, PAGE, PageTables, table_bytes
from shim.machine.ram import Ram
from shim.machine.riscv64 import RISCV64
from shim.machine.x86_64 import X86_64

TABLES = 64 << 20
TABLES_ROOM = 4 << 20
#: All there are: the memory attribute protocol may take READ away and leave the others.
ACCESSES = tuple(Access(bits) for bits in range(8))


@pytest.fixture(
    scope="module",
    autouse=True,
    params=[
        (X86_64, "_x86_64", 4),
        (AARCH64, "_aarch64", 4),
        (RISCV64, "_riscv64", 4),
        (I386, "_i386", 3),
        (ARM, "_arm", 3),
    ],
    ids=["x86_64", "aarch64", "riscv64", "i386", "arm"],
)
def architecture(request):
    """Every test is of page tables of each architecture."""
    architecture, reader, use.levels = request.param
    use.form, use.read, use.limit = architecture.entry_format, globals()[reader], architecture.address_limit


#: The form of entries, and how the CPU reads one: gives leads on, frame, writable, executable; None where not present.
use = SimpleNamespace()


def make(*ranges):
    """Page tables in RAM of their own: the map's ranges need no bytes behind them."""
    if ranges[-1][1] > use.limit:
        pytest.skip("no memory of this architecture")
    ram = Ram(((TABLES, TABLES + TABLES_ROOM),))
    return ram, PageTables(ram, TABLES, ranges, use.form)


def _x86_64(entry, level):
    """Intel SDM volume 3, section 4.5."""
    if not entry & 1:
        return None
    # Reserved for a CPU with 48 bits of physical address: setting one is a fault of its own.
    assert not entry & 0x000F_0000_0000_0000
    assert not entry & 4, "no page belongs to user mode"
    return level > 1 and not entry & 0x80, entry & 0x0000_FFFF_FFFF_F000, bool(entry & 2), not entry >> 63


def _i386(entry, level):
    """Intel SDM volume 3, section 4.4: the entries of the first table have no permissions, and bits that must be 0."""
    if level < 3:
        return _x86_64(entry, level)
    assert not entry & 0xFFFF_0000_0000_01E6
    return (True, entry & 0x0000_FFFF_FFFF_F000, True, True) if entry & 1 else None


def _arm(entry, level):
    """DDI 0406, section B3.6: the long descriptors of 32-bit Arm are AArch64's, with a first table of four entries."""
    return _aarch64(entry, level)


def _aarch64(entry, level):
    """Arm ARM, sections D8.3.1 and D8.3.2."""
    if not entry & 1:
        return None
    leads_on = level > 1 and bool(entry & 2)
    assert not entry & 0x000F_0000_0000_0000
    frame = entry & 0x0000_FFFF_FFFF_F000
    if leads_on:
        assert not entry >> 59, "nothing is denied to all that lies below"
        return True, frame, True, True
    assert level > 1 or entry & 2, "an entry of the last level has bit 1"
    assert entry & 0x7C == 0x0C, "memory of MAIR's attribute 3, not for EL0"
    assert entry >> 8 & 7 == 7, "accessed, and inner-shareable"
    assert entry >> 53 & 3 in (0, 3), "both levels may execute it, or neither"
    return False, frame, not entry & 0x80, not entry >> 53 & 1


def _riscv64(entry, level):
    """RISC-V privileged architecture 1.12, section 4.4.1."""
    if not entry & 1:
        return None
    assert not entry >> 54, "reserved"
    frame = (entry >> 10) << 12
    if not entry & 0xE:
        assert level > 1, "the last level leads to no table"
        assert not entry & 0xD0, "reserved where an entry leads on"
        return True, frame, True, True
    assert entry & 2, "what may be written or executed may be read"
    assert entry & 0xC0 == 0xC0, "accessed and dirty, or the CPU would write here"
    assert not entry & 0x10, "no page belongs to U-mode"
    assert frame % (1 << 12 + 9 * (level - 1)) == 0, "a large page is aligned"
    return False, frame, bool(entry & 4), bool(entry & 8)


def walk(ram, root, address):
    """What the CPU sees: physical address, page size, and present, writable, executable; None where not present."""
    assert -(1 << 47) <= address < 1 << 47
    table, writable, executable = root, True, True
    for level in range(use.levels, 0, -1):
        shift = 12 + 9 * (level - 1)
        entry = int.from_bytes(ram.view(table + 8 * (address >> shift & 0x1FF), 8), "little")
        read = use.read(entry, level)
        if read is None:
            return None
        leads_on, frame, *allowed = read
        writable, executable = writable and allowed[0], executable and allowed[1]
        if not leads_on:
            size = 1 << shift
            assert level in (1, 2), "only 4 KiB and 2 MiB pages are expected"
            assert not frame % size, "reserved address bits of a large page"
            return frame + address % size, size, writable, executable
        table = frame
    raise AssertionError


def used_tables(ram, root):
    """The addresses of all tables that the CPU can reach."""
    found, todo = set(), [(root, use.levels)]
    while todo:
        table, level = todo.pop()
        found.add(table)
        if level > 1:
            for at in range(table, table + PAGE, 8):
                read = use.read(int.from_bytes(ram.view(at, 8), "little"), level)
                if read is not None and read[0]:
                    todo.append((read[1], level - 1))
    return found


def seen(access):
    """The page as the CPU sees it before anything was executed: None, or whether it is writable and executable."""
    if access is None or Access.READ not in access:
        return None
    return Access.WRITE in access, access == Access.RX


def executable(tables, address):
    return list(tables.executable(address, address + 1)) == [(address, address + 1)]


def check(ram, tables, model, pages):
    """*model*: access by page address, of mapped pages only."""
    for page in pages:
        expected = model.get(page)
        assert tables.access(page) == expected, hex(page)
        assert tables.access(page + PAGE - 1) == expected
        found = walk(ram, tables.root, page)
        if found is None:
            assert seen(expected) is None, hex(page)
        else:
            assert found[0] == page
            assert found[2:] == seen(expected), hex(page)
        assert executable(tables, page + 5) == (found is not None and found[3])


# Around three large pages, and pages at their borders.
EDGES = [0, PAGE, 5 * PAGE, LARGE - PAGE, LARGE, LARGE + PAGE, 2 * LARGE - PAGE, 2 * LARGE, 3 * LARGE - 7 * PAGE]
places = st.one_of(st.sampled_from(EDGES), st.integers(0, 3 * LARGE // PAGE - 1).map(lambda n: n * PAGE))


@st.composite
def spans(draw):
    start = draw(places)
    end = draw(places.filter(lambda end: end != start))
    return min(start, end), max(start, end)


@st.composite
def disjoint(draw):
    """Ranges as a platform has them: ascending, apart from each other."""
    borders = sorted(draw(st.sets(places, min_size=2, max_size=6)))
    return tuple(zip(borders[::2], borders[1::2], strict=False))


unaligned = st.sampled_from([0, 0, 0, 1, 0x7FF, PAGE - 1])


@given(disjoint(), st.lists(st.tuples(spans(), unaligned, unaligned, st.sampled_from(ACCESSES)), max_size=8))
@settings(deadline=None, max_examples=60, database=None)
def test_every_page_is_as_a_dictionary_has_it(ranges, changes):
    ram, tables = make(*ranges)
    model = {page: Access.RW for start, end in ranges for page in range(start, end, PAGE)}
    interesting = {page for span in ranges for page in (*span, span[0] - PAGE, span[1] - PAGE) if page >= 0}
    for (start, end), before, after, access in changes:
        # Both ends may lie within a page: the whole page is meant.
        first, size = start + before, end - before - after - start
        if size <= 0:
            continue
        tables.protect(first, size, access)
        last = first + size - 1
        for page in range(first & -PAGE, last + 1, PAGE):
            if page in model:
                model[page] = access
        interesting |= {start - PAGE, start, start + PAGE, last & -PAGE, (last & -PAGE) + PAGE}
    sample = range(0, 3 * LARGE + PAGE, 17 * PAGE)
    check(ram, tables, model, sorted({*(page for page in interesting if page >= 0), *sample}))
    assert all(TABLES <= table < tables.end for table in used_tables(ram, tables.root))
    assert tables.end - TABLES == table_bytes(ranges)


def test_every_single_page_after_many_changes():
    ranges = ((PAGE, LARGE + 3 * PAGE), (LARGE + 5 * PAGE, 3 * LARGE))
    ram, tables = make(*ranges)
    model = {page: Access.RW for start, end in ranges for page in range(start, end, PAGE)}
    for i in range(60):
        start, pages, access = i * 97 * PAGE % (3 * LARGE), i * 31 % 200 + 1, ACCESSES[i % len(ACCESSES)]
        tables.protect(start, pages * PAGE, access)
        model.update({p: access for p in range(start, start + pages * PAGE, PAGE) if p in model})
    check(ram, tables, model, range(0, 3 * LARGE + PAGE, PAGE))


def test_a_fresh_map_can_be_written_and_not_executed():
    ram, tables = make((PAGE, 2 * LARGE))
    check(ram, tables, dict.fromkeys(range(PAGE, 2 * LARGE, PAGE), Access.RW), range(0, 3 * LARGE, PAGE))


def test_runs_are_what_single_pages_say():
    _, tables = make((PAGE, 3 * LARGE))
    tables.protect(LARGE - PAGE, 2 * PAGE, Access.RX)
    tables.protect(2 * LARGE + 5 * PAGE, PAGE, Access.NONE)
    runs = list(tables.runs(0, 4 * LARGE))
    assert [(start, end) for start, end, _ in runs][1:] == [
        (PAGE, LARGE - PAGE), (LARGE - PAGE, LARGE + PAGE), (LARGE + PAGE, 2 * LARGE + 5 * PAGE),
        (2 * LARGE + 5 * PAGE, 2 * LARGE + 6 * PAGE), (2 * LARGE + 6 * PAGE, 3 * LARGE), (3 * LARGE, 4 * LARGE),
    ]  # fmt: skip
    for start, end, access in runs:
        assert {tables.access(page) for page in range(start, end, PAGE)} == {access}
    assert list(tables.runs(PAGE, PAGE)) == []
    beyond = 1 << use.form.bits
    assert list(tables.runs(beyond - PAGE, beyond + PAGE)) == [
        (beyond - PAGE, beyond, None), (beyond, beyond + PAGE, None),
    ]  # fmt: skip
    assert list(tables.runs(beyond + PAGE, beyond + LARGE)) == [(beyond + PAGE, beyond + LARGE, None)]


def test_whole_large_pages_stay_large():
    ram, tables = make((0, 4 * LARGE))
    tables.protect(LARGE, 2 * LARGE, Access.RX)
    assert len(used_tables(ram, tables.root)) == use.levels - 1
    for address, access in ((0, Access.RW), (LARGE, Access.RX), (3 * LARGE - PAGE, Access.RX), (3 * LARGE, Access.RW)):
        assert walk(ram, tables.root, address)[1] == LARGE
        assert tables.access(address) is access


def test_a_large_page_is_split_only_for_a_part_of_it():
    ram, tables = make((0, 3 * LARGE))
    tables.protect(LARGE, PAGE, Access.RW)  # it is so already
    assert walk(ram, tables.root, LARGE)[1] == LARGE
    tables.protect(LARGE + PAGE, PAGE, Access.READ)
    assert [walk(ram, tables.root, n * LARGE)[1] for n in range(3)] == [LARGE, PAGE, LARGE]
    assert [walk(ram, tables.root, LARGE + n * PAGE)[2] for n in range(3)] == [True, False, True]


def test_a_range_over_three_large_pages_splits_the_outer_two():
    ram, tables = make((0, 3 * LARGE))
    tables.protect(LARGE - PAGE, LARGE + 2 * PAGE, Access.RX)
    assert [walk(ram, tables.root, n * LARGE)[1] for n in range(3)] == [PAGE, LARGE, PAGE]
    found = [page for page in range(0, 3 * LARGE, PAGE) if walk(ram, tables.root, page)[3]]
    assert found == list(range(LARGE - PAGE, 2 * LARGE + PAGE, PAGE))


@pytest.mark.parametrize(
    "ranges",
    [
        ((0, PAGE),),
        ((0, LARGE),),
        ((PAGE, 9 * LARGE + PAGE),),
        ((PAGE, 0xA0000), (0x100000, 10 * LARGE)),
        ((0, 3 * LARGE), (4 << 30, (4 << 30) + 3 * LARGE)),
        (((512 << 30) - PAGE, (512 << 30) + PAGE),),
    ],
)
def test_the_room_is_enough_when_everything_is_split(ranges):
    ram, tables = make(*ranges)
    for start, end in ranges:
        for page in range(start, end, LARGE):
            tables.protect(page, PAGE, Access.READ)
            tables.protect(min(page + LARGE, end) - PAGE, PAGE, Access.NONE)
    found = used_tables(ram, tables.root)
    assert len(found) * PAGE <= table_bytes(ranges)
    assert all(TABLES <= table < tables.end for table in found)


def test_pages_for_everything_are_executable_only_once_executed():
    ram, tables = make((0, LARGE))
    tables.protect(4 * PAGE, 2 * PAGE, Access.RWX)
    tables.protect(6 * PAGE, PAGE, Access.RWX)
    assert walk(ram, tables.root, 4 * PAGE)[2:] == (True, False)
    assert not executable(tables, 4 * PAGE)
    assert tables.execute(4 * PAGE + 123)
    # What got its access together becomes executable together, and nothing else does.
    assert [page // PAGE for page in range(0, 16 * PAGE, PAGE) if walk(ram, tables.root, page)[3]] == [4, 5]
    assert [executable(tables, n * PAGE) for n in (3, 4, 5, 6)] == [False, True, True, False]
    assert walk(ram, tables.root, 4 * PAGE)[2]
    assert not tables.execute(4 * PAGE)
    assert tables.access(4 * PAGE) is Access.RWX
    assert tables.execute(6 * PAGE)


@pytest.mark.parametrize("address", [4 * PAGE, 5 * PAGE - 1, 5 * PAGE, 6 * PAGE - 1])
def test_pages_of_a_range_that_begins_and_ends_within_pages_are_executable_whole(address):
    ram, tables = make((0, LARGE))
    tables.protect(4 * PAGE + 0x800, PAGE, Access.RWX)
    assert tables.execute(address)
    assert walk(ram, tables.root, address & -PAGE)[3]


def test_pages_taken_from_a_range_for_everything_do_not_become_executable_with_it():
    _, tables = make((0, LARGE))
    tables.protect(0, 4 * PAGE, Access.RWX)
    tables.protect(PAGE, PAGE, Access.RW)
    tables.protect(2 * PAGE, PAGE, Access.NONE)
    assert tables.execute(0)
    assert [executable(tables, n * PAGE) for n in range(5)] == [True, False, False, True, False]
    assert [tables.access(n * PAGE) for n in range(5)] == [Access.RWX, Access.RW, Access.NONE, Access.RWX, Access.RW]


def test_pages_given_for_everything_again_wait_again():
    _, tables = make((0, LARGE))
    tables.protect(0, PAGE, Access.RWX)
    assert tables.execute(0)
    tables.protect(0, PAGE, Access.RWX)
    assert not executable(tables, 0)
    assert tables.execute(0)


def test_a_large_page_for_everything_becomes_executable_as_a_whole():
    ram, tables = make((0, 2 * LARGE))
    tables.protect(0, LARGE, Access.RWX)
    assert tables.execute(5 * PAGE)
    assert walk(ram, tables.root, 0) == (0, LARGE, True, True)
    # A part of it takes what it was with it when it is split.
    tables.protect(0, PAGE, Access.READ)
    assert walk(ram, tables.root, PAGE) == (PAGE, PAGE, True, True)
    assert tables.access(PAGE) is Access.RWX


@pytest.mark.parametrize("access", [each for each in ACCESSES if Access.WRITE | Access.EXECUTE not in each])
def test_nothing_else_becomes_executable(access):
    ram, tables = make((0, LARGE))
    tables.protect(0, LARGE, access)
    before = walk(ram, tables.root, 0)
    assert not tables.execute(0)
    assert not tables.execute(LARGE + 5)
    assert walk(ram, tables.root, 0) == before


def test_guard_pages_are_not_present_and_come_back():
    ram, tables = make((0, LARGE))
    tables.protect(PAGE, PAGE, Access.NONE)
    assert walk(ram, tables.root, PAGE) is None
    assert tables.access(PAGE) is Access.NONE
    tables.protect(PAGE, PAGE, Access.RW)
    assert walk(ram, tables.root, PAGE) == (PAGE, PAGE, True, False)


def test_holes_stay_holes():
    ram, tables = make((0, PAGE), (3 * PAGE, LARGE))
    tables.protect(0, LARGE, Access.RWX)
    assert tables.access(PAGE) is None
    assert not tables.execute(PAGE)
    assert walk(ram, tables.root, 2 * PAGE) is None
    assert tables.access(3 * PAGE) is Access.RWX


@pytest.mark.parametrize("address", [LARGE, 1 << 30, 1 << 39, (1 << 47) - 1])
def test_beyond_the_map_there_is_nothing(address):
    _, tables = make((0, LARGE))
    tables.protect(address, PAGE, Access.RX)
    assert tables.access(address) is None
    assert not executable(tables, address)
    assert not tables.execute(address)


def test_the_executable_parts_of_a_range():
    _, tables = make((PAGE, LARGE), (2 * LARGE, 5 * LARGE))
    tables.protect(0, 5 * LARGE, Access.RX)
    tables.protect(3 * PAGE, LARGE - 4 * PAGE, Access.RWX)
    tables.protect(3 * LARGE, LARGE, Access.READ)
    parts = [
        (PAGE + 9, 2 * PAGE),
        (2 * PAGE, 3 * PAGE),
        (LARGE - PAGE, LARGE),
        (2 * LARGE, 3 * LARGE),
        (4 * LARGE, 4 * LARGE + 9),
    ]
    assert list(tables.executable(PAGE + 9, 4 * LARGE + 9)) == parts
    assert tables.execute(3 * PAGE)
    assert sum(end - start for start, end in tables.executable(0, LARGE)) == LARGE - PAGE
    assert list(tables.executable(0, 0)) == []


@pytest.mark.parametrize("address", [1 << 48, (1 << 64) - 1, (1 << 64) - PAGE])
def test_an_address_that_the_tables_can_not_hold_is_not_mapped(address):
    # The tables look at 48 bits, or at 32: what is above must not be taken for the page below.
    _, tables = make((0, LARGE), ((1 << 32) - LARGE, 1 << 32))
    assert tables.access(address) is None
    assert not executable(tables, address)


def test_the_tlb_is_flushed_when_something_changed():
    _, tables = make((0, LARGE))
    flushed = []
    tables.flush = lambda: flushed.append(tables.access(0))
    tables.protect(0, PAGE, Access.RWX)
    assert flushed[-1:] == [Access.RWX]
    flushed.clear()
    assert tables.execute(0)
    assert flushed == [Access.RWX]


def test_what_a_guest_writes_into_the_tables_leads_nowhere():
    """The tables lie in the guest's memory: its entries may point anywhere, and the firmware still looks things up."""
    ram, tables = make((0, 2 * LARGE))
    for entry in (use.form.table[1] | 0xFFFF_FFFF_F000, use.form.table[1], (1 << 64) - 1, 0):
        ram.write(tables.root, entry.to_bytes(8, "little"))
        assert tables.access(PAGE) in (None, *ACCESSES)
        assert not tables.execute(PAGE)
        tables.protect(0, PAGE, Access.RWX)
        list(tables.executable(0, 2 * LARGE))
    # An entry that leads back to its own table is a table of 512 times as much.
    ram.write(tables.root, (use.form.table[1] | tables.root).to_bytes(8, "little"))
    tables.access(PAGE)
    list(tables.executable(0, 2 * LARGE))
