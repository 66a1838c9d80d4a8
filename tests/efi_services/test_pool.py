import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.memory_map import PAGE, RAM, AllocateType, MemoryMap, MemoryType, Range
from efi_services.pool import Pool
from efi_services.status import EfiError, Status

FREE, DATA, CODE = MemoryType.ConventionalMemory, MemoryType.LoaderData, MemoryType.LoaderCode


def new_map():
    return MemoryMap((Range(0x1000, 0x4_0000, FREE, RAM),))


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 4087, 4088, 4089, 4096, 4097, 10000])
def test_any_size_can_be_had_and_given_back(size):
    memory = new_map()
    pool = Pool(memory)
    at = pool.allocate(DATA, size)
    assert at % 8 == 0
    assert memory.at(at).type is memory.at(at + max(size, 1) - 1).type is DATA
    given_back = pool.free(at)
    assert given_back >= size
    assert given_back % 8 == 0
    assert memory.used == 0
    assert len(list(memory)) == 1


@pytest.mark.parametrize("sizes", [[16], [4088, 4088, 8], [5000], [8] * 20])
def test_pieces_of_memory_that_outlives_boot_services(sizes):
    memory = MemoryMap((Range(0x1000, 0x8_0000, FREE, RAM),), 0x1_0000)
    pool = Pool(memory)
    places = [pool.allocate(MemoryType.RuntimeServicesData, size) for size in sizes]
    assert memory.used == 0x1_0000
    for each in places:
        pool.free(each)
    assert memory.used == 0
    assert len(list(memory)) == 1


def test_types_do_not_share_a_page():
    pool = Pool(new_map())
    assert pool.allocate(DATA, 8) // PAGE != pool.allocate(CODE, 8) // PAGE


def test_freed_pieces_are_used_again():
    pool = Pool(new_map())
    first, second, _ = (pool.allocate(DATA, 64) for _ in range(3))
    pool.free(first)
    pool.free(second)
    assert pool.allocate(DATA, 128) == first


@pytest.mark.parametrize("size", [16, 5000])
def test_what_is_no_allocation_cannot_be_freed(size):
    memory = new_map()
    pool = Pool(memory)
    at = pool.allocate(DATA, size)
    pages = memory.allocate(AllocateType.AnyPages, DATA, 1)
    for wrong in (0, at + 8, at - 8, pages, 1 << 64):
        with pytest.raises(EfiError) as refused:
            pool.free(wrong)
        assert refused.value.status is Status.INVALID_PARAMETER
    pool.free(at)
    with pytest.raises(EfiError):
        pool.free(at)


@pytest.mark.parametrize("size", [0x4_0000, 1 << 40, (1 << 64) - 1])
def test_more_than_there_is(size):
    memory = new_map()
    with pytest.raises(EfiError) as refused:
        Pool(memory).allocate(DATA, size)
    assert refused.value.status is Status.OUT_OF_RESOURCES
    assert memory.used == 0


SIZES = st.one_of(st.integers(0, 300), st.integers(4000, 4200), st.integers(0, 12000))
STEPS = st.lists(st.one_of(st.tuples(st.sampled_from([DATA, CODE]), SIZES), st.integers(0, 100)), max_size=60)


@given(STEPS)
def test_any_sequence_agrees_with_a_set_of_intervals(attempt, steps):
    memory = new_map()
    pool = Pool(memory)
    held: dict[int, tuple[int, MemoryType]] = {}
    for step in steps:
        if isinstance(step, int):
            if not held:
                continue
            at = sorted(held)[step % len(held)]
            size, _ = held.pop(at)
            assert pool.free(at) >= size
        else:
            kind, size = step
            at, refusal = attempt(pool.allocate, kind, size)
            if refusal:
                assert refusal is Status.OUT_OF_RESOURCES
                continue
            assert at % 8 == 0
            assert not any(
                at < start + max(other, 1) and start < at + max(size, 1) for start, (other, _) in held.items()
            )
            held[at] = size, kind
        for at, (size, kind) in held.items():
            assert memory.at(at).type is memory.at(at + max(size, 1) - 1).type is kind
    for at in held:
        pool.free(at)
    assert [(each.start, each.end, each.type) for each in memory] == [(0x1000, 0x4_0000, FREE)]
    assert memory.used == 0
