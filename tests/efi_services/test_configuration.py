import pytest

from efi_services import guids
from efi_services.memory_map import MemoryType
from efi_services.platform import ConfigurationTable
from efi_services.status import EfiError, Status
from efi_services.types import Guid

MINE = Guid(int=99)


def test_tables_of_the_platform(power_on):
    given = ConfigurationTable(MINE, b"contents", MemoryType.ACPIReclaimMemory)
    guest = power_on(tables=(given,))
    at = guest.tables()[MINE]
    assert guest.bytes_at(at, 8) == b"contents"
    assert guest.firmware.memory_map.at(at).type is MemoryType.ACPIReclaimMemory


def test_runtime_properties(power_on):
    guest = power_on()
    data = guest.bytes_at(guest.tables()[guids.RT_PROPERTIES_TABLE], 8)
    # All but the wake-up timers (bits 2 and 3) and capsules (bits 11 and 12).
    assert data == bytes.fromhex("0100 0800 f3270000")
    less = power_on(runtime_services=0x3FFF & ~0x80)
    assert less.bytes_at(less.tables()[guids.RT_PROPERTIES_TABLE], 8) == bytes.fromhex("0100 0800 73270000")


def test_more_tables_than_the_array_has_room_for(guest):
    firmware = guest.firmware
    for number in range(100):
        firmware.configuration.install(Guid(int=1000 + number), 0x1000 + number)
    assert guest.tables() == firmware.configuration.tables
    assert len(guest.tables()) == 101
    array, count = firmware.configuration.array
    assert count == 101
    for at in (array, array + 24 * 100):
        assert firmware.memory_map.at(at).type is MemoryType.RuntimeServicesData
    for number in range(100):
        firmware.configuration.install(Guid(int=1000 + number), 0)
    assert set(guest.tables()) == {guids.RT_PROPERTIES_TABLE}


def test_growing_gives_the_old_array_back(guest):
    used = guest.firmware.memory_map.used
    for number in range(2000):
        guest.firmware.configuration.install(Guid(int=number), 1)
    # Two arrays exist while one is copied to the other; pages of the small ones may stay in the pool.
    assert guest.firmware.memory_map.used - used < 24 * 4096 + 4 * 4096


def test_no_room_for_a_larger_array(guest):
    firmware = guest.firmware
    for number in range(15):
        firmware.configuration.install(Guid(int=1 + number), 1)
    hog(firmware)
    before = guest.tables()
    for _ in range(2):
        with pytest.raises(EfiError) as refused:
            firmware.configuration.install(MINE, 1)
        assert refused.value.status is Status.OUT_OF_RESOURCES
    assert guest.tables() == before == firmware.configuration.tables
    # One that needs no more room is welcome.
    firmware.configuration.install(Guid(int=1), 0)
    firmware.configuration.install(MINE, 7)
    assert guest.tables()[MINE] == 7


def hog(firmware):
    """Take all memory of the type that the array needs."""
    size = 1 << 20
    while size >= 8:
        try:
            firmware.pool.allocate(MemoryType.RuntimeServicesData, size)
        except EfiError:
            size //= 2
