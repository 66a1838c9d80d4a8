import itertools

import pytest

from efi_services.memory_map import ATTRIBUTE_RUNTIME, MemoryType
from efi_services.ports import Access
from efi_services.status import Status

ANY, MAX, ADDRESS = range(3)
PAGE = 4096
DATA, CODE, CONVENTIONAL = 2, 1, 7


def pages(guest, how, count, address=0, kind=DATA):
    at = guest.put(address)
    status = guest.call("AllocatePages", how, kind, count, at)
    return status, guest.u64(at)


def get_map(guest, size=0x4000, buffer=None, **pointers):
    made = {name: guest.room() for name in ("key", "descriptor_size", "version")} | pointers
    at = guest.put(size)
    if buffer is None:
        buffer = guest.room(size)
    return guest.call("GetMemoryMap", at, buffer, *made.values()), guest.u64(at), made


def describing(guest, address):
    """The one descriptor that tells of *address*."""
    (found,) = [each for each in guest.memory_types() if each[1] <= address < each[1] + each[2] * PAGE]
    return found


def test_pages_appear_in_the_map_once_and_with_their_type(guest):
    status, at = pages(guest, ANY, 3, kind=MemoryType.ACPIReclaimMemory)
    assert status == Status.SUCCESS
    assert at % PAGE == 0
    assert describing(guest, at)[0] == describing(guest, at + 3 * PAGE - 1)[0] == MemoryType.ACPIReclaimMemory
    assert guest.call("FreePages", at, 3) == Status.SUCCESS
    assert describing(guest, at)[0] == CONVENTIONAL


def test_the_map_is_ascending_whole_and_merged(guest, specification):
    _, at = pages(guest, ANY, 4)
    guest.call("FreePages", at + PAGE, 1)
    found = guest.memory_types()
    assert found[0][1] == specification.base
    for (kind, start, count, attribute), (next_kind, next_start, _, next_attribute) in itertools.pairwise(found):
        assert next_start == start + count * PAGE
        assert (kind, attribute) != (next_kind, next_attribute)
    assert found[-1][1] + found[-1][2] * PAGE == specification.base + specification.size
    for kind, _, _, attribute in found:
        assert bool(attribute & ATTRIBUTE_RUNTIME) == (kind in (5, 6))


def test_max_address_counts_the_last_byte(guest, specification):
    limit = specification.base + 0x20_0000 - 1
    assert pages(guest, MAX, 2, limit) == (Status.SUCCESS, limit + 1 - 2 * PAGE)
    assert pages(guest, MAX, 1, limit + 0x1234) == (Status.SUCCESS, limit + 1)
    assert pages(guest, MAX, 1, 0xFFFF_FFFF_FFFF)[0] == Status.SUCCESS
    assert pages(guest, MAX, 1, specification.base - 1)[0] == Status.OUT_OF_RESOURCES


def test_an_address_is_taken_exactly_or_not_at_all(guest, specification):
    at = specification.base + 0x10_0000
    assert pages(guest, ADDRESS, 4, at) == (Status.SUCCESS, at)
    for wrong in (at, at - PAGE, at + 3 * PAGE, specification.base, 0x8000_0000):
        assert pages(guest, ADDRESS, 2, wrong) == (Status.NOT_FOUND, wrong)


@pytest.mark.parametrize("kind", [CONVENTIONAL, 14, 15, 16, 0x6FFF_FFFF])
def test_types_that_cannot_be_had(guest, kind):
    assert pages(guest, ANY, 1, kind=kind)[0] == Status.INVALID_PARAMETER
    out = guest.room()
    assert guest.call("AllocatePool", kind, 8, out) == Status.INVALID_PARAMETER


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 0x7000_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_types_that_can(guest, kind):
    status, at = pages(guest, ANY, 1, kind=kind)
    assert status == Status.SUCCESS
    assert describing(guest, at)[0] == kind
    out = guest.room()
    assert guest.call("AllocatePool", kind, 8, out) == Status.SUCCESS
    assert describing(guest, guest.u64(out))[0] == kind


def test_what_is_no_way_to_allocate(guest):
    assert pages(guest, 3, 1)[0] == Status.INVALID_PARAMETER
    assert guest.call("AllocatePages", ANY, DATA, 1, 0) == Status.INVALID_PARAMETER
    for count in (1 << 20, 1 << 52, (1 << 64) - 1):
        assert pages(guest, ANY, count)[0] == Status.OUT_OF_RESOURCES


def test_code_may_be_executed_until_it_is_freed(guest):
    for kind, access in ((CODE, Access.RWX), (DATA, Access.RW), (3, Access.RWX), (5, Access.RWX)):
        _, at = pages(guest, ANY, 2, kind=kind)
        assert guest.mmu.access(at) == guest.mmu.access(at + PAGE) == access
        guest.call("FreePages", at, 1)
        assert (guest.mmu.access(at), guest.mmu.access(at + PAGE)) == (Access.RW, access)


def test_freeing(guest, specification):
    _, at = pages(guest, ANY, 4)
    pool = guest.room()
    guest.call("AllocatePool", DATA, 8192, pool)
    for address, count, status in (
        (at + 1, 1, Status.INVALID_PARAMETER),
        (at, 0, Status.INVALID_PARAMETER),
        (at, 1 << 60, Status.INVALID_PARAMETER),
        (at, 1 << 51, Status.NOT_FOUND),
        (0, 1, Status.NOT_FOUND),
        (specification.base, 1, Status.NOT_FOUND),
        (guest.u64(pool), 1, Status.NOT_FOUND),
        (guest.firmware.system_table & -PAGE, 1, Status.NOT_FOUND),
    ):
        assert guest.call("FreePages", address, count) == status
    assert guest.call("FreePages", at + PAGE, 2) == Status.SUCCESS
    assert guest.call("FreePages", at, 4) == Status.NOT_FOUND
    assert guest.call("FreePages", at, 1) == guest.call("FreePages", at + 3 * PAGE, 1) == Status.SUCCESS


def test_regions_are_told(guest):
    _, at = pages(guest, ANY, 2)
    assert guest.observer.regions[-1] == (at, at + 2 * PAGE, "pages", "LoaderData")
    guest.call("FreePages", at, 2)
    assert guest.observer.regions[-1] == (at, at + 2 * PAGE, None, None)
    out = guest.room()
    guest.call("AllocatePool", DATA, 20, out)
    pool = guest.u64(out)
    assert guest.observer.regions[-1] == (pool, pool + 20, "pool", "LoaderData")
    guest.call("FreePool", pool)
    assert guest.observer.regions[-1] == (pool, pool + 24, None, None)


def test_the_map_in_a_buffer_that_is_too_small(guest):
    status, needed, made = get_map(guest, 0, 0)
    assert status == Status.BUFFER_TOO_SMALL
    assert needed % 48 == 0
    # A stub takes its buffer's size and SetVirtualAddressMap's argument from this answer.
    assert guest.u64(made["descriptor_size"]) == 48
    assert guest.u32(made["version"]) == 1
    assert get_map(guest, needed - 1)[:2] == (Status.BUFFER_TOO_SMALL, needed)
    assert get_map(guest, needed)[:2] == (Status.SUCCESS, needed)
    assert get_map(guest, needed + 480)[:2] == (Status.SUCCESS, needed)
    assert get_map(guest, needed + 480, 0)[:2] == (Status.INVALID_PARAMETER, needed)
    assert get_map(guest, (1 << 64) - 1, guest.room(0x1000))[:2] == (Status.SUCCESS, needed)


def test_a_map_is_not_written_beyond_its_size(guest):
    size = guest.put(0)
    guest.call("GetMemoryMap", size, 0, 0, 0, 0)
    buffer = guest.room(0x4000)
    assert guest.call("GetMemoryMap", size, buffer, 0, 0, 0) == Status.SUCCESS
    assert guest.bytes_at(buffer + guest.u64(size), 64) == b"\xa5" * 64
    assert guest.call("GetMemoryMap", 0, buffer, 0, 0, 0) == Status.INVALID_PARAMETER


def test_the_key_changes_when_the_map_does(guest):
    key = guest.map_key()
    assert guest.map_key() == key
    unchanged = (
        lambda: guest.call("HandleProtocol", guest.payload, guest.put(b"x" * 16), guest.room()),
        lambda: guest.call("CopyMem", guest.room(), guest.room(), 8),
        lambda: guest.call("Stall", 1),
    )
    for call in unchanged:
        call()
        assert guest.map_key() == key
    at = guest.put(0)
    changing = (
        lambda: guest.call("AllocatePages", ANY, DATA, 1, at),
        lambda: guest.call("FreePages", guest.u64(at), 1),
        lambda: guest.call("AllocatePool", DATA, 8192, at),
        lambda: guest.call("FreePool", guest.u64(at)),
    )
    for call in changing:
        assert call() == Status.SUCCESS
        assert guest.map_key() != key
        key = guest.map_key()


def test_pool(guest):
    out, found = guest.room(), []
    for size in (0, 1, 8, 100, 4096, 10000):
        assert guest.call("AllocatePool", DATA, size, out) == Status.SUCCESS
        found.append(guest.u64(out))
    assert all(each % 8 == 0 for each in found)
    for each in found:
        assert guest.call("FreePool", each) == Status.SUCCESS
        assert guest.call("FreePool", each) == Status.INVALID_PARAMETER
    assert guest.call("AllocatePool", DATA, 8, 0) == Status.INVALID_PARAMETER
    assert guest.call("FreePool", 0) == Status.INVALID_PARAMETER
    for size in (1 << 30, (1 << 64) - 1, (1 << 64) - 8):
        assert guest.call("AllocatePool", DATA, size, out) == Status.OUT_OF_RESOURCES
