import struct

import pytest

from shim.config.device_tree import Node
from shim.config.platform import Hole, Memory, Platform, Reserved, load_platform
from shim.errors import UsageError
from shim.kexec.handover import PROPERTY, add_link, place
from shim.session.build import build
from shim.stages.state import StoppedError


def spans(platform):
    return [(each.start, each.start + each.size) for each in platform.memory.reserved]


@pytest.mark.parametrize("name", ["q35", "virt-arm64", "virt-riscv64"])
def test_there_is_room_of_its_own(name):
    platform = load_platform(name)
    told = place(platform, 10_000, None)
    assert told.address % (64 << 10) == 0
    assert (told.address, told.address + 4 * 4096) in spans(told.platform)
    # The machine takes it, and its reservations don't overlap.
    build(told.platform)
    assert len(told.stages) == (name == "q35")


def test_the_next_list_takes_the_place_of_the_last_one():
    first = place(load_platform("q35"), 100, None)
    second = place(first.platform, 200_000, first.address)
    third = place(second.platform, 100, second.address)
    assert spans(third.platform) == spans(first.platform)
    assert len(spans(second.platform)) == len(spans(first.platform))


def test_what_is_taken_is_left_alone():
    memory = Memory(
        size=64 << 20,
        reserved=(Reserved(start=32 << 20, size=20 << 20, type="ReservedMemoryType"),),
        holes=(Hole(start=30 << 20, size=1 << 20),),
    )
    told = place(Platform(name="x", memory=memory), 4096, None)
    assert told.address + 2 * 4096 <= 32 << 20
    assert not 30 << 20 <= told.address < 31 << 20


def test_without_room_there_is_no_list():
    memory = Memory(size=16 << 20, reserved=(Reserved(start=0, size=16 << 20, type="ReservedMemoryType"),))
    with pytest.raises(UsageError, match="no room"):
        place(Platform(name="x", memory=memory), 4096, None)


def test_without_a_device_tree_nobody_can_be_told():
    with pytest.raises(UsageError, match="has no device tree"):
        place(load_platform("bare-aarch64"), 4096, None)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [({}, 4), ({"#address-cells": 2, "#size-cells": 2}, 4), ({"#address-cells": 2, "#size-cells": 1}, 3)],
)
def test_the_property_has_cells_as_the_root_counts_them(cells, expected):
    tree = Node.model_validate({**cells, "chosen": {"stdout-path": "/serial"}})
    platform = Platform(name="x", machine="aarch64", memory=Memory(base=1 << 32), device_tree=tree)
    told = place(platform, 777, None)
    chosen = told.platform.device_tree.nodes["chosen"].properties
    value = chosen[PROPERTY]
    assert len(value) == expected
    assert (value[0] << 32 | value[1], value[-1]) == (told.address, 777)
    assert chosen["stdout-path"] == "/serial"


class State:
    """Memory from address 0 on, with boot_params at 0x1000 and a list of links."""

    def __init__(self, *links):
        self.memory = bytearray(0x8000)
        at = 0x1250
        for address, kind in links:
            struct.pack_into("<Q", self.memory, at, address)
            struct.pack_into("<QII", self.memory, address, 0, kind, 16)
            at = address
        first = struct.unpack_from("<Q", self.memory, 0x1250)[0]
        self.handoff = {"boot_params": {"address": 0x1000, "fields": {"setup_data": first}}}

    def read(self, address, size):
        return bytes(self.memory[address : address + size])

    def write(self, address, data):
        self.memory[address : address + len(data)] = data

    def stop(self, why):
        raise StoppedError(why)


LINK = struct.pack("<QIIQQ", 0, 8, 16, 0x9000, 125)


def test_the_link_is_the_first_where_there_is_none():
    state = State()
    add_link(state, 0x4000, 0x9000, 125)
    assert state.read(0x1250, 8) == struct.pack("<Q", 0x4000)
    assert state.read(0x4000, 32) == LINK


def test_the_link_is_the_last_where_there_are_others():
    state = State((0x2000, 9), (0x3000, 1))
    add_link(state, 0x4000, 0x9000, 125)
    assert state.read(0x1250, 8) == struct.pack("<Q", 0x2000)
    assert state.read(0x3000, 8) == struct.pack("<Q", 0x4000)
    assert state.read(0x4000, 32) == LINK


def test_a_stub_that_made_such_a_link_itself():
    with pytest.raises(StoppedError, match="a link SETUP_IMA already"):
        add_link(State((0x2000, 8)), 0x4000, 0x9000, 125)


def test_without_boot_params_the_list_can_not_be_handed_over():
    state = State()
    state.handoff = {"boot_params": None}
    with pytest.raises(StoppedError, match="no boot_params"):
        add_link(state, 0x4000, 0x9000, 125)
