"""From a platform to a machine and a memory map."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efi_services.memory_map import PAGE, MemoryMap, MemoryType, Owner
from shim.config.platform import Hole, Memory, Platform, Reserved, TableSettings, load_platform
from shim.errors import UsageError
from shim.machine.architectures import ARCHITECTURES
from shim.session.build import build

MIB, GIB = 1 << 20, 1 << 30


def make(**memory):
    return Platform(name="test", memory=Memory(**memory))


def spans(ranges):
    """Spans that touch or overlap joined."""
    joined = []
    for start, end in sorted(ranges):
        if joined and joined[-1][1] >= start:
            joined[-1][1] = max(end, joined[-1][1])
        else:
            joined.append([start, end])
    return [tuple(each) for each in joined]


def check(platform):
    """What has to hold for every platform; gives layout and firmware platform."""
    layout, firmware = build(platform)
    memory = MemoryMap(firmware.ranges)  # sorted, of whole pages, and nothing overlaps
    in_ram = [(start, end) for start, end in layout.ram]
    holes = spans((each.start, each.start + each.size) for each in platform.memory.holes)
    pages = sum(end - start for start, end in in_ram) // PAGE
    missing = sum(min(end, e) - max(start, s) for s, e in in_ram for start, end in holes if start < e and end > s)
    covered = sum(each.end - each.start for each in memory)
    assert covered == pages * PAGE - missing
    for each in memory:
        assert any(start <= each.start and each.end <= end for start, end in in_ram)
        assert not any(start < each.end and each.start < end for start, end in holes)
    # The firmware's own tables: within RAM, mapped, and nobody else's.
    (own,) = [each for each in memory if each.start == layout.page_tables]
    assert (own.type, own.owner) == (MemoryType.BootServicesData, Owner.FIRMWARE)
    assert own.end - own.start == layout.firmware_bytes(layout.architecture, layout.mapped)
    assert layout.descriptor_tables == own.end - len(layout.architecture.descriptor_tables)
    assert any(start <= own.start and own.end <= end for start, end in layout.mapped)
    assert {each.owner for each in memory if each.type is MemoryType.ConventionalMemory} <= {Owner.NOBODY}
    return layout, firmware


def test_virt_arm64():
    layout, firmware = check(load_platform("virt-arm64"))
    assert type(layout.architecture) is type(ARCHITECTURES["aarch64"])
    assert layout.ram == layout.mapped == ((GIB, 2 * GIB),)
    assert spans((each.start, each.end) for each in firmware.ranges) == [(GIB, 2 * GIB)]


def test_a_machine_of_32_bits_has_no_memory_above_4_gib():
    narrow = load_platform("q35-ia32")
    check(narrow.with_memory(2 << 30))
    with pytest.raises(UsageError, match="below 0x100000000"):
        build(narrow.with_memory(3 << 30))


def test_memory_that_the_cpu_can_not_address():
    memory = Memory(base=(1 << 40) - GIB, size=GIB)
    build(Platform(name="x", machine="aarch64", memory=memory))
    with pytest.raises(UsageError, match="below 0x10000000000"):
        build(Platform(name="x", machine="aarch64", memory=memory.model_copy(update={"base": 1 << 40})))


def test_q35():
    layout, firmware = check(load_platform("q35"))
    assert layout.ram == ((0, GIB),)
    assert layout.mapped == ((PAGE, 0xA0000), (0x100000, GIB))
    assert spans((each.start, each.end) for each in firmware.ranges) == [(0, 0xA0000), (0x100000, GIB)]
    assert firmware.ranges[0].type is MemoryType.BootServicesData


@pytest.mark.parametrize("size", [16 * MIB, 2 * GIB, 2 * GIB + PAGE, 4 * GIB, 64 * GIB, 512 * GIB])
def test_large_memories_go_on_above_four_gib(size):
    layout, _ = check(load_platform("q35").with_memory(size))
    expected = [(0, min(size, 2 * GIB))]
    if size > 2 * GIB:
        expected.append((4 * GIB, 4 * GIB + size - 2 * GIB))
    assert list(layout.ram) == expected
    assert layout.page_tables < 4 * GIB, "what a 32-bit stub would have to reach lies low"


@pytest.mark.parametrize("size", [0, -PAGE, 4096, 16 * MIB - PAGE, 512 * GIB + PAGE, 64 * MIB + 1, 1 << 63, 1 << 70])
def test_sizes_that_make_no_sense_are_refused(size):
    with pytest.raises(UsageError, match=r"16 MiB to 512 GiB"):
        build(load_platform("q35").with_memory(size))


@pytest.mark.parametrize(
    "memory",
    [
        {"base": -PAGE},
        {"base": 5},
        {"base": 1 << 47},
        {"base": (1 << 64) - PAGE},
        {"base": 1 << 64},
        {"low_limit": 0},
        {"low_limit": -PAGE, "high_base": 4 * GIB},
        {"low_limit": 32 * MIB + 5, "high_base": 4 * GIB},
        {"low_limit": 32 * MIB, "high_base": 16 * MIB},  # RAM over RAM
        {"low_limit": 32 * MIB, "high_base": 0},
        {"low_limit": 32 * MIB, "high_base": 4 * GIB + 1},
        {"low_limit": 32 * MIB},  # it would go on at the end of the address space
        {"holes": (Hole(start=5, size=PAGE),)},
        {"holes": (Hole(start=0, size=100),)},
        {"holes": (Hole(start=0, size=-PAGE),)},
        {"holes": (Hole(start=0, size=64 * MIB),)},
        {"reserved": (Reserved(start=0, size=0, type="ReservedMemoryType"),)},
        {"reserved": (Reserved(start=0, size=64 * MIB, type="ReservedMemoryType"),)},
        {"reserved": (Reserved(start=7, size=PAGE, type="ReservedMemoryType"),)},
        {"reserved": (Reserved(start=0, size=PAGE, type="NoSuchType"),)},
        {"reserved": (Reserved(start=0, size=2 * PAGE, type="ReservedMemoryType"),) * 2},
        {"reserved": (Reserved(start=64 * MIB, size=PAGE, type="ReservedMemoryType"),)},  # not RAM
        {"reserved": (Reserved(start=0, size=PAGE, type="ReservedMemoryType"),), "holes": (Hole(start=0, size=PAGE),)},
        # Where the firmware's own tables would go.
        {"reserved": (Reserved(start=63 * MIB, size=MIB, type="ReservedMemoryType", mapped=False),)},
    ],
    ids=str,
)
def test_memory_that_makes_no_sense_is_refused_or_built_right(memory):
    """Whatever a platform's author gets wrong is told in words; nothing else may come of it."""
    with contextlib.suppress(UsageError):
        check(make(**{"size": 64 * MIB, **memory}))


places = st.integers(0, 64 * MIB // PAGE - 1).map(lambda n: n * PAGE)
sizes = st.sampled_from([PAGE, 2 * PAGE, 16 * PAGE, MIB, 8 * MIB])


@given(
    st.lists(st.tuples(places, sizes), max_size=3),
    st.lists(st.tuples(places, sizes, st.booleans()), max_size=3),
    st.sampled_from([16 * MIB, 32 * MIB, 64 * MIB, 1 << 40]),
)
@settings(deadline=None, max_examples=150, database=None)
def test_any_holes_and_reservations(holes, reserved, low_limit):
    memory = {
        "size": 64 * MIB,
        "low_limit": low_limit,
        "high_base": 4 * GIB,
        "holes": tuple(Hole(start=start, size=size) for start, size in holes),
        "reserved": tuple(
            Reserved(start=start, size=size, type="ReservedMemoryType", mapped=mapped)
            for start, size, mapped in reserved
        ),
    }
    try:
        layout, firmware = check(make(**memory))
    except UsageError:
        return
    unmapped = [(start, start + size) for start, size, mapped in reserved if not mapped]
    for start, end in (*unmapped, *((start, start + size) for start, size in holes)):
        assert not any(first < end and start < last for first, last in layout.mapped)
    for start, size, _ in reserved:
        assert any(each.start <= start and start + size <= each.end for each in firmware.ranges)


def test_what_the_firmware_is_told():
    platform = load_platform("q35")
    _, firmware = build(platform)
    assert firmware.name == "q35"
    assert firmware.vendor == "efi-shim"
    assert firmware.start_time == 1767225600  # 2026-01-01T00:00:00Z
    assert firmware.stack_bytes == 256 << 10
    names = {variable.name for variable in firmware.variables}
    assert {"SecureBoot", "SetupMode"} <= names


def test_a_variable_of_the_platform_replaces_the_firmwares():
    from shim.config.platform import VariableSettings

    guid = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
    mine = VariableSettings(name="SetupMode", vendor=guid, attributes=6, data="00")
    other = VariableSettings(name="Mine", vendor=guid, data="0102")
    _, firmware = build(Platform(name="x", variables=(mine, other)))
    found = [(each.name, each.data) for each in firmware.variables if each.name in ("SetupMode", "Mine")]
    assert found == [("SetupMode", b"\0"), ("Mine", b"\1\2")]


def test_a_table_in_memory_of_no_known_type_is_refused():
    table = TableSettings(vendor="8be4df61-93ca-11d2-aa0d-00e098032b8c", data="00", type="NoSuchType")
    with pytest.raises(UsageError, match="NoSuchType"):
        build(Platform(name="x", tables=(table,)))
