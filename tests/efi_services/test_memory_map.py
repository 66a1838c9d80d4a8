import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.memory_map import (
    ATTRIBUTE_RUNTIME,
    PAGE,
    RAM,
    UC,
    AllocateType,
    MemoryMap,
    MemoryType,
    Owner,
    Range,
)
from efi_services.status import EfiError, Status

FREE, DATA, CODE = MemoryType.ConventionalMemory, MemoryType.LoaderData, MemoryType.LoaderCode
RESERVED, RUNTIME = MemoryType.ReservedMemoryType, MemoryType.RuntimeServicesData


def page(number):
    return number * PAGE


def layout(*parts):
    """Ranges from (first page, page behind, type[, attribute])."""
    return tuple(Range(page(a), page(b), kind, *(rest or (RAM,))) for a, b, kind, *rest in parts)


@pytest.fixture
def simple():
    """Pages 1 to 99, of which 40 to 59 are reserved."""
    return MemoryMap(layout((1, 40, FREE), (40, 60, RESERVED), (60, 100, FREE)))


def refused(status):
    return pytest.raises(EfiError, match=f"^EFI_{status.name}$")


@pytest.mark.parametrize(
    "parts", [((1, 3, FREE), (2, 4, FREE)), ((3, 3, FREE),), ((4, 3, FREE),)], ids=["overlap", "empty", "backwards"]
)
def test_a_platform_that_makes_no_sense(parts):
    with pytest.raises(ValueError, match="memory range"):
        MemoryMap(layout(*parts))


def test_a_range_of_half_a_page():
    with pytest.raises(ValueError, match="whole pages"):
        MemoryMap((Range(0x100, 0x2000, FREE, RAM),))


def test_ranges_may_come_in_any_order():
    made = MemoryMap(layout((5, 6, FREE), (1, 2, RESERVED)))
    assert [each.start for each in made] == [page(1), page(5)]


def test_memory_is_handed_out_from_the_top(simple):
    assert simple.allocate(AllocateType.AnyPages, DATA, 2) == page(98)
    assert simple.allocate(AllocateType.AnyPages, DATA, 38) == page(60)
    assert simple.allocate(AllocateType.AnyPages, DATA, 1) == page(39)


@pytest.mark.parametrize(
    ("limit", "start"), [(page(100) - 1, 98), (page(99) - 1, 97), (page(99) - 2, 96), (page(61), 38), (1 << 64, 98)]
)
def test_max_address_is_the_last_byte_allowed(simple, limit, start):
    assert simple.allocate(AllocateType.MaxAddress, DATA, 2, limit) == page(start)


def test_max_address_below_all_memory(simple):
    for limit in (0, page(1) - 1, page(3) - 2):
        with refused(Status.OUT_OF_RESOURCES):
            simple.allocate(AllocateType.MaxAddress, DATA, 2, limit)


def test_an_address_of_the_callers_choice(simple):
    assert simple.allocate(AllocateType.Address, DATA, 3, page(10)) == page(10)
    # Used, partly used, reserved, outside.
    for at, pages in ((10, 1), (8, 3), (12, 2), (40, 1), (39, 2), (99, 2), (0, 1), (500, 1)):
        with refused(Status.NOT_FOUND):
            simple.allocate(AllocateType.Address, DATA, pages, page(at))
    with refused(Status.INVALID_PARAMETER):
        simple.allocate(AllocateType.Address, DATA, 1, page(20) + 8)


@pytest.mark.parametrize("how", AllocateType)
def test_no_pages_and_far_too_many(simple, how):
    with refused(Status.INVALID_PARAMETER):
        simple.allocate(how, DATA, 0, page(1))
    for pages in (41, 1 << 40, (1 << 64) - 1):
        with pytest.raises(EfiError):
            simple.allocate(how, DATA, pages, page(1))
    assert simple.key == 1


def test_alignment(simple):
    assert simple.allocate(AllocateType.AnyPages, DATA, 3, alignment=16 * PAGE) == page(96)
    assert simple.allocate(AllocateType.AnyPages, DATA, 3, alignment=16 * PAGE) == page(80)
    assert simple.allocate(AllocateType.AnyPages, DATA, 3, alignment=64 * PAGE) == page(64)
    with refused(Status.OUT_OF_RESOURCES):
        simple.allocate(AllocateType.AnyPages, DATA, 3, alignment=128 * PAGE)


def test_the_key_changes_with_the_map_only(simple):
    keys = [simple.key]
    at = simple.allocate(AllocateType.AnyPages, DATA, 2)
    keys.append(simple.key)
    simple.free(at, 2)
    keys.append(simple.key)
    assert len(set(keys)) == 3
    simple.descriptors()
    with refused(Status.NOT_FOUND):
        simple.free(at, 2)
    assert simple.key == keys[-1]


def test_a_part_of_an_allocation_can_be_freed(simple):
    at = simple.allocate(AllocateType.Address, DATA, 10, page(10))
    simple.free(at + page(3), 2)
    types = {number: simple.at(page(number)).type for number in range(9, 21)}
    assert [number for number, kind in types.items() if kind == FREE] == [9, 13, 14, 20]
    simple.free(at, 3)
    simple.free(at + page(5), 5)
    assert simple.at(page(10)).end == page(40)
    assert simple.used == 0
    assert simple.used_peak == page(10)


def test_two_neighbours_are_freed_at_once(simple):
    simple.allocate(AllocateType.Address, DATA, 2, page(10))
    simple.allocate(AllocateType.Address, CODE, 2, page(12))
    simple.free(page(11), 2)
    assert [simple.at(page(each)).type for each in range(10, 14)] == [DATA, FREE, FREE, CODE]


def test_only_the_owner_frees(simple):
    mine = simple.allocate(AllocateType.AnyPages, DATA, 1)
    other = simple.allocate(AllocateType.AnyPages, DATA, 1, owner=Owner.POOL)
    assert other == mine - PAGE
    for start, pages in ((other, 1), (other, 2), (page(40), 1), (page(20), 1), (page(99), 2)):
        with refused(Status.NOT_FOUND):
            simple.free(start, pages)
    for start, pages in ((mine + 1, 1), (mine, 0), (mine, 1 << 60)):
        with refused(Status.INVALID_PARAMETER):
            simple.free(start, pages)
    simple.free(other, 1, owner=Owner.POOL)


def test_freed_memory_keeps_what_it_can_be_cached_as():
    made = MemoryMap(layout((1, 3, FREE, UC), (3, 5, FREE)))
    made.allocate(AllocateType.Address, DATA, 2, page(1))
    made.allocate(AllocateType.Address, DATA, 2, page(3))
    made.free(page(2), 2)
    assert [made.at(page(each)).attribute for each in range(1, 5)] == [UC, UC, RAM, RAM]
    made.free(page(1), 1)
    made.free(page(4), 1)
    assert [each.attribute for each in made.descriptors()] == [UC, RAM]


def test_descriptors_do_not_tell_owners_apart(simple):
    simple.allocate(AllocateType.AnyPages, DATA, 1)
    simple.allocate(AllocateType.AnyPages, DATA, 1, owner=Owner.POOL)
    found = [each for each in simple.descriptors() if each.type == DATA]
    assert [(each.physical_start, each.number_of_pages, each.virtual_start) for each in found] == [(page(98), 2, 0)]


def test_runtime_memory_says_so(simple):
    simple.allocate(AllocateType.AnyPages, RUNTIME, 1)
    simple.allocate(AllocateType.AnyPages, MemoryType.RuntimeServicesCode, 1)
    told = {each.type for each in simple.descriptors() if each.attribute & ATTRIBUTE_RUNTIME}
    assert told == {RUNTIME, MemoryType.RuntimeServicesCode}
    assert all(each.attribute & ~ATTRIBUTE_RUNTIME == RAM for each in simple.descriptors())


class Pages:
    """The same map as an array of pages, each with a type, an owner and what it can be cached as."""

    def __init__(self, ranges):
        self.pages = {
            number: (each.type, Owner.NOBODY, each.attribute)
            for each in ranges
            for number in range(each.start // PAGE, each.end // PAGE)
        }

    def free_run(self, first, count):
        """Whether a run is free and of one kind, which is what one allocation needs."""
        found = {self.pages.get(number) for number in range(first, first + count)}
        return len(found) == 1 and next(iter(found)) is not None and next(iter(found))[0] == FREE

    def give(self, first, count, kind, owner):
        for number in range(first, first + count):
            self.pages[number] = (kind, owner, self.pages[number][2])


TYPES = st.sampled_from([DATA, CODE, RUNTIME, MemoryType.ACPIReclaimMemory, MemoryType(0x8000_0001)])
OWNERS = st.sampled_from([Owner.PAGES, Owner.POOL])
ADDRESSES = st.one_of(st.integers(0, 40).map(page), st.integers(0, page(40)), st.just((1 << 64) - 1))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(AllocateType), TYPES, st.integers(0, 12), ADDRESSES, OWNERS),
        st.tuples(ADDRESSES, st.integers(0, 6), OWNERS),
    ),
    max_size=30,
)


@given(STEPS)
def test_any_sequence_agrees_with_an_array_of_pages(steps):
    ranges = layout((1, 12, FREE), (12, 14, RESERVED), (14, 20, FREE, UC), (20, 30, FREE), (32, 36, FREE))
    made, model = MemoryMap(ranges), Pages(ranges)
    for step in steps:
        before, key = dict(model.pages), made.key
        with contextlib.suppress(EfiError):
            if len(step) == 5:
                how, kind, count, address, owner = step
                start = made.allocate(how, kind, count, address, owner=owner)
                assert count
                assert start % PAGE == 0
                assert model.free_run(start // PAGE, count)
                if how is AllocateType.Address:
                    assert start == address
                else:
                    limit = address if how is AllocateType.MaxAddress else 1 << 64
                    assert start + page(count) - 1 <= limit
                    # Nothing higher would have done.
                    higher = range(start // PAGE + 1, 40)
                    assert not any(model.free_run(each, count) and page(each + count) - 1 <= limit for each in higher)
                model.give(start // PAGE, count, kind, owner)
            else:
                address, count, owner = step
                made.free(address, count, owner=owner)
                pages = range(address // PAGE, address // PAGE + count)
                assert all(before[each][1] is owner for each in pages)
                model.give(pages.start, count, FREE, Owner.NOBODY)
        assert (made.key != key) == (model.pages != before)
        seen = {
            number: (each.type, each.owner, each.attribute)
            for each in made
            for number in range(each.start // PAGE, each.end // PAGE)
        }
        assert seen == model.pages
        assert made.used == sum(page(1) for _, owner, _ in model.pages.values() if owner is not Owner.NOBODY)
        assert made.used_peak >= made.used
    check_descriptors(made, model)


def check_descriptors(made, model):
    told = {}
    last = None
    for each in made.descriptors():
        first = each.physical_start // PAGE
        assert last is None or first >= last[0]
        assert (first, each.type, each.attribute) != last, "two descriptors could be one"
        last = (first + each.number_of_pages, each.type, each.attribute)
        told |= dict.fromkeys(range(first, first + each.number_of_pages), (each.type, each.attribute & RAM))
    assert told == {number: (kind, attribute) for number, (kind, _, attribute) in model.pages.items()}


@given(st.lists(st.tuples(st.sampled_from([AllocateType.AnyPages, AllocateType.MaxAddress]), st.integers(1, 5))))
def test_an_allocation_that_is_refused_had_no_room(attempt, steps):
    ranges = layout((1, 9, FREE), (10, 17, FREE))
    made, model = MemoryMap(ranges), Pages(ranges)
    for how, count in steps:
        start, refusal = attempt(made.allocate, how, DATA, count, page(14) - 1)
        if refusal:
            assert refusal is Status.OUT_OF_RESOURCES
            end = 14 if how is AllocateType.MaxAddress else 17
            assert not any(model.free_run(first, count) for first in range(1, end - count + 1))
        else:
            model.give(start // PAGE, count, DATA, Owner.PAGES)


APART = (RUNTIME, MemoryType.RuntimeServicesCode, MemoryType.ACPIMemoryNVS, RESERVED)
LARGER = 16 * PAGE


@given(
    st.lists(
        st.tuples(st.sampled_from([*APART, DATA, CODE]), st.integers(1, 40), st.integers(0, page(400)), st.booleans()),
        max_size=20,
    )
)
def test_memory_that_outlives_boot_services_comes_in_larger_pieces(steps):
    made = MemoryMap(layout((3, 200, FREE), (210, 400, FREE)), LARGER)
    whole = made.descriptors()
    given_out = []
    for kind, count, limit, again in steps:
        with contextlib.suppress(EfiError):
            start = made.allocate(AllocateType.MaxAddress, kind, count, limit)
            given_out.append((start, count))
            assert start + page(count) - 1 <= limit
        for each in made.descriptors():
            if each.type in APART:
                assert each.physical_start % LARGER == 0
                assert page(each.number_of_pages) % LARGER == 0
        if again and given_out:
            made.free(*given_out.pop())
    for start, count in given_out:
        made.free(start, count)
    assert made.used == 0
    assert made.descriptors() == whole


def test_larger_pieces_are_asked_for_and_given_back_by_their_start():
    made = MemoryMap(layout((0, 64, FREE)), LARGER)
    with pytest.raises(EfiError) as refused:
        made.allocate(AllocateType.Address, RUNTIME, 1, page(17))
    assert refused.value.status is Status.NOT_FOUND
    assert made.allocate(AllocateType.Address, RUNTIME, 1, page(16)) == page(16)
    with pytest.raises(EfiError) as refused:
        made.free(page(17), 1)
    assert refused.value.status is Status.INVALID_PARAMETER
    made.free(page(16), 1)
