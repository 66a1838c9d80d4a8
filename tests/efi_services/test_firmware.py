import itertools

import pytest

from efi_services import guids
from efi_services.dispatch import RunEnds
from efi_services.memory_map import MemoryType, Owner
from efi_services.ports import Access
from efi_services.status import EfiError


def test_gates_can_be_executed_and_nothing_else(guest):
    boot, runtime = guest.firmware.gates.ranges
    for (start, end), kind in ((boot, MemoryType.BootServicesCode), (runtime, MemoryType.RuntimeServicesCode)):
        assert guest.mmu.access(start) == Access.RX
        assert guest.firmware.memory_map.at(start).type is guest.firmware.memory_map.at(end - 1).type is kind
        assert set(guest.bytes_at(start, end - start)) == {0xC3, 0xCC}
    assert runtime[0] <= guest.firmware.dispatcher.return_gate < runtime[1]


def test_what_the_firmware_owns_the_guest_cannot_free(guest):
    for each in list(guest.firmware.memory_map):
        if each.owner in (Owner.FIRMWARE, Owner.POOL):
            assert guest.call("FreePages", each.start, each.pages) != 0


def test_the_stack_ends_at_a_page_that_faults(guest):
    top = guest.firmware.allocate_stack()
    size = guest.firmware.platform.stack_bytes
    assert guest.mmu.access(top - size) == guest.mmu.access(top - 1) == Access.RW
    assert guest.mmu.access(top - size - 1) == Access.NONE
    assert guest.firmware.memory_map.at(top - 1).type is MemoryType.BootServicesData


def test_regions_never_overlap(guest):
    living = []
    for start, end, kind, name in guest.observer.regions:
        if kind is None:
            living = [each for each in living if each[1] <= start or end <= each[0]]
            continue
        assert start < end
        for other in living:
            assert end <= other[0] or other[1] <= start, (name, other[2])
        living.append((start, end, name))
    assert {"system table", "boot services table", "handle"} <= {name for *_, name in living}


def test_two_machines_are_the_same(power_on):
    def life():
        guest = power_on()
        guest.start()
        guest.call("AllocatePool", 2, 100, guest.room())
        guest.event(0x200, 8, lambda *_: guest.call("Stall", 5))
        guest.call("LocateHandle", 0, 0, 0, guest.put(0x100), guest.room(0x100))
        guest.exit_boot_services()
        return guest

    first, second = life(), life()
    assert first.memory.data == second.memory.data
    assert first.observer.regions == second.observer.regions
    assert first.observer.ended == second.observer.ended
    assert first.clock.now == second.clock.now


def test_a_platform_without_room_for_a_firmware(power_on):
    with pytest.raises(EfiError):
        power_on(ranges=())


@pytest.mark.parametrize(
    ("option", "guid"),
    [
        ("rng", "3152bca5-eade-433d-862e-c01cdc291f44"),
        ("memory_attribute", "f4560cf6-40ec-4b4a-a192-bf1d57d0b189"),
        ("console", "387477c2-69c7-11d2-8e39-00a0c969723b"),
    ],
)
def test_what_a_platform_may_lack(power_on, option, guid):
    for offered in (True, False):
        firmware = power_on(**{option: offered}).firmware
        assert bool(firmware.handles.with_protocol(guids.Guid(guid))) == offered


def test_a_published_protocol_is_its_slots(guest):
    for at, instance in guest.firmware.interfaces.items():
        slots = instance.protocol.slots
        words = [guest.u64(at + 8 * i) for i in range(len(slots))]
        assert all(words)
        gates = guest.firmware.gates.ranges[0]
        assert [gates[0] <= word < gates[1] for word in words] == [hasattr(slot, "function") for slot in slots]


def test_the_watchdog(guest):
    guest.firmware.check_watchdog()
    guest.call("SetWatchdogTimer", 1, 0x1_0000, 0, 0)
    guest.firmware.check_watchdog()
    guest.clock.advance(1_000_000_000)
    with pytest.raises(RunEnds, match="watchdog") as ended:
        guest.firmware.check_watchdog()
    assert ended.value.kind == "reset"


def test_addresses_without_a_virtual_map_are_their_own(guest):
    assert guest.firmware.convert(0x1234) == 0x1234
    guest.firmware.virtual_map = ((0x1000, 0x2000, 0x8000),)
    assert guest.firmware.convert(0x1FFF) == 0x8FFF
    for outside in (0xFFF, 0x2000):
        with pytest.raises(EfiError):
            guest.firmware.convert(outside)


def test_handles_are_addresses_of_their_own(guest):
    handles = [*guest.firmware.handles, *itertools.islice(iter(guest.firmware.new_handle, None), 20)]
    assert len(set(handles)) == len(handles)
    for handle in handles:
        assert guest.firmware.memory_map.at(handle).type is MemoryType.BootServicesData


def test_the_timer_ticks_until_boot_services_are_left(guest):
    before = guest.clock.now
    assert guest.firmware.tick() is True
    assert guest.clock.now == before + 10_000_000
    guest.exit_boot_services()
    before = guest.clock.now
    assert guest.firmware.tick() is False
    assert guest.clock.now == before


def test_a_tick_may_be_the_watchdogs(guest):
    guest.call("SetWatchdogTimer", 1, 0, 0, 0)
    with pytest.raises(RunEnds, match="watchdog"):
        all(guest.firmware.tick() for _ in range(101))
