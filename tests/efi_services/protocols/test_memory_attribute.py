import pytest

from efi_services.guids import Guid
from efi_services.ports import Access
from efi_services.status import Status

GUID = Guid("f4560cf6-40ec-4b4a-a192-bf1d57d0b189")
NAME = "EFI_MEMORY_ATTRIBUTE_PROTOCOL"
RP, XP, RO = 0x2000, 0x4000, 0x20000
PAGE = 4096


@pytest.fixture
def area(specification):
    """Pages that are free."""
    return specification.base + 0x10_0000


@pytest.fixture
def call(guest):
    interface = guest.protocol(GUID)
    return lambda method, *arguments: guest.method(NAME, method + "MemoryAttributes", interface, *arguments)


def test_data_cannot_be_executed(guest, call, area):
    out = guest.room()
    assert call("Get", area, PAGE, out) == Status.SUCCESS
    assert guest.u64(out) == XP


@pytest.mark.parametrize("attributes", [XP, RO, RP, XP | RO, XP | RO | RP])
def test_set_and_clear(guest, call, area, attributes):
    out = guest.room()
    assert call("Clear", area, 3 * PAGE, XP) == Status.SUCCESS
    assert call("Get", area, 3 * PAGE, out) == Status.SUCCESS
    assert guest.u64(out) == 0
    assert call("Set", area + PAGE, PAGE, attributes) == Status.SUCCESS
    assert call("Get", area, PAGE, out) == Status.SUCCESS
    assert guest.u64(out) == 0
    assert call("Get", area + PAGE, PAGE, out) == Status.SUCCESS
    assert guest.u64(out) == attributes
    assert call("Clear", area + PAGE, PAGE, attributes) == Status.SUCCESS
    call("Get", area + PAGE, PAGE, out)
    assert guest.u64(out) == 0


def test_what_they_mean(guest, call, area):
    for attributes, access in ((XP, Access.RW), (RO, Access.RX), (RO | XP, Access.READ), (RP | RO | XP, Access.NONE)):
        call("Clear", area, PAGE, RP | RO | XP)
        call("Set", area, PAGE, attributes)
        assert guest.mmu.access(area) == access


def test_each_page_keeps_what_is_not_asked_for(guest, call, area):
    accesses = [Access.RW, Access.RX, Access.RX, Access.READ, Access.RWX]
    for number, access in enumerate(accesses):
        guest.mmu.protect(area + number * PAGE, PAGE, access)
    assert call("Set", area, 5 * PAGE, RO) == Status.SUCCESS
    found = [guest.mmu.access(area + number * PAGE) for number in range(5)]
    assert found == [each & ~Access.WRITE for each in accesses]
    assert call("Clear", area, 5 * PAGE, XP) == Status.SUCCESS
    assert [guest.mmu.access(area + number * PAGE) for number in range(5)] == [Access.RX] * 5
    assert guest.mmu.access(area + 5 * PAGE) == Access.RW


def test_pages_that_differ(guest, call, area):
    call("Clear", area, PAGE, XP)
    assert call("Get", area, 2 * PAGE, guest.room()) == Status.NO_MAPPING


def test_what_makes_no_sense(guest, call, area, specification):
    out = guest.room()
    end = specification.base + specification.size
    for method, last in (("Get", out), ("Set", XP), ("Clear", XP)):
        assert call(method, area, 0, last) == Status.INVALID_PARAMETER
        assert call(method, area + 1, PAGE, last) == Status.UNSUPPORTED
        assert call(method, area, PAGE + 1, last) == Status.UNSUPPORTED
        assert call(method, end - PAGE, 2 * PAGE, last) == Status.NO_MAPPING
        assert call(method, 0, PAGE, last) == Status.NO_MAPPING
        assert call(method, area, (1 << 64) - PAGE, last) == Status.NO_MAPPING
    assert call("Get", area, PAGE, 0) == Status.INVALID_PARAMETER
    for method in ("Set", "Clear"):
        for attributes in (0, 1, 8, 1 << 63, XP | 1):
            assert call(method, area, PAGE, attributes) == Status.INVALID_PARAMETER
    assert {guest.mmu.access(each) for each in range(area, end, PAGE)} >= {Access.RW}
    assert guest.mmu.access(end - PAGE) is not None


def test_freed_pages_are_ordinary_again(guest, call, area):
    at = guest.put(area)
    assert guest.call("AllocatePages", 2, 1, 1, at) == Status.SUCCESS
    call("Set", area, PAGE, RO)
    assert guest.call("FreePages", area, 1) == Status.SUCCESS
    assert guest.mmu.access(area) == Access.RW
