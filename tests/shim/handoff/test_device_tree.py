"""Device trees at the kernel entry, good ones and hostile ones."""

import json
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.handoff import arm64, device_tree
from shim.machine.ram import Ram

BASE, SIZE = 0x4000_0000, 8 << 20


@pytest.fixture
def ram():
    return Ram(((BASE, BASE + SIZE),))


BEGIN, END, PROPERTY, NO_OPERATION, FINISH = (struct.pack(">I", each) for each in (1, 2, 3, 4, 9))


def pack(structure, strings):
    """A tree of these blocks: header, reservations (none), structure, strings (sections 5.2 to 5.5)."""
    first = 40 + 16
    size = first + len(structure) + len(strings)
    header = (0xD00DFEED, size, first, first + len(structure), 40, 17, 16, 0, len(strings), len(structure))
    return struct.pack(">10I", *header) + bytes(16) + structure + strings


def node(name, *content):
    return BEGIN + (name + b"\0").ljust(len(name) // 4 * 4 + 4, b"\0") + b"".join(content) + END


def tree(properties=(), chosen=b"chosen"):
    """A tree with these properties in /chosen, a node before it and one behind."""
    strings = b""
    mine = []
    for name, value in (("device_type", b"memory\0"), *properties):
        mine.append(PROPERTY + struct.pack(">II", len(value), len(strings)) + value + bytes(-len(value) % 4))
        strings += name.encode() + b"\0"
    memory = node(b"memory@40000000", mine[0])
    root = node(b"", mine[0], memory, NO_OPERATION, node(chosen, *mine[1:], node(b"module", mine[0])), memory)
    return pack(root + FINISH, strings)


def collect(ram, data, at=BASE + 0x1000):
    ram.write(at, data)
    return arm64.collect(ram, {"x0": at})["device_tree"]


def test_what_a_stub_writes(ram):
    data = tree(
        [
            ("bootargs", b"console=ttyAMA0 quiet\0"),
            ("linux,uefi-mmap-start", (0x4000_2000).to_bytes(8, "big")),
            ("linux,uefi-mmap-desc-ver", b"\0\0\0\1"),
            ("rng-seed", bytes(range(32))),
            ("flag", b""),
        ]
    )
    found = collect(ram, data)
    assert found == {
        "address": BASE + 0x1000,
        "size": len(data),
        "chosen": {
            "bootargs": "console=ttyAMA0 quiet",
            "linux,uefi-mmap-start": 0x4000_2000,
            "linux,uefi-mmap-desc-ver": 1,
            "rng-seed": bytes(range(32)).hex(),
            "flag": "",
        },
    }
    state = {"device_tree": found}
    assert list(arm64.places(state)) == [(BASE + 0x1000, "device tree"), (0x4000_2000, "memory map")]
    assert list(arm64.files(state, ram)) == [("device_tree.dtb", data)]
    json.dumps(found)


def test_a_tree_without_chosen(ram):
    assert collect(ram, tree(chosen=b"elsewhere"))["chosen"] == {}


@pytest.mark.parametrize("x0", [0, BASE - 4, BASE + SIZE, BASE + SIZE - 8, (1 << 64) - 1, BASE])
def test_no_tree_is_no_tree(ram, x0):
    assert arm64.collect(ram, {"x0": x0}) == {"device_tree": None}
    assert list(arm64.places({"device_tree": None})) == []
    assert list(arm64.files({"device_tree": None}, ram)) == []


def test_the_initrd_has_its_name_too():
    state = {"device_tree": None, "initrd": {"address": 0x4567_8000, "size": 1234}}
    assert list(arm64.places(state)) == [(0x4567_8000, "initrd")]


@pytest.mark.parametrize("size", [0, 7, 39, device_tree.MAX_SIZE + 1, 0xFFFF_FFFF])
def test_a_size_that_can_not_be(ram, size):
    data = bytearray(tree())
    data[4:8] = size.to_bytes(4, "big")
    assert collect(ram, bytes(data)) is None


def test_a_tree_that_goes_on_beyond_memory(ram):
    data = tree([("bootargs", b"quiet\0")])
    assert collect(ram, data[:60], BASE + SIZE - 60) is None


@pytest.mark.parametrize("word", range(2, 10))
@pytest.mark.parametrize("value", [0, 1, 0x30, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_damaged_header(ram, word, value):
    data = bytearray(tree([("bootargs", b"quiet\0")]))
    data[4 * word : 4 * word + 4] = value.to_bytes(4, "big")
    json.dumps(collect(ram, bytes(data)))


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=12))
@settings(deadline=None, max_examples=300, database=None)
def test_damaged_bytes(changes):
    data = bytearray(tree([("bootargs", b"quiet\0"), ("kaslr-seed", bytes(8)), ("linux,uefi-secure-boot", bytes(4))]))
    for at, value in changes:
        data[4 + at % (len(data) - 4)] = value
    memory = Ram(((BASE, BASE + SIZE),))
    json.dumps(collect(memory, bytes(data)))


ROOM = device_tree.MAX_SIZE - 0x1000


@pytest.mark.parametrize(
    ("structure", "strings"),
    [
        (END, b"\0"),
        ((BEGIN + b"a\0\0\0") * (ROOM // 8), b"\0"),  # a node in a node in a node
        (BEGIN + bytes(4) + (BEGIN + b"a\0\0\0" + END) * (ROOM // 12), b"\0"),  # a million brothers
        (BEGIN + bytes(4) + NO_OPERATION * (ROOM // 4), b"\0"),
        # Names without an end: each is looked for in a megabyte.
        (BEGIN + bytes(4) + BEGIN + b"chosen\0\0" + (PROPERTY + bytes(8)) * (ROOM // 24), b"x" * (ROOM // 2)),
        (
            BEGIN + bytes(4) + BEGIN + b"chosen\0\0" + (PROPERTY + bytes(8)) * (ROOM // 24),
            b"x" * (ROOM // 2 - 1) + b"\0",
        ),
        (BEGIN + bytes(4) + BEGIN + b"chosen\0\0" + PROPERTY + struct.pack(">II", ROOM, 0) + bytes(ROOM), b"\xff\0"),
    ],
)
def test_a_hostile_tree_takes_no_time(ram, structure, strings):
    data = pack(structure, strings)
    assert len(data) <= device_tree.MAX_SIZE
    began = time.thread_time()
    found = collect(ram, data)
    assert time.thread_time() - began < 2
    assert len(json.dumps(found)) < 3 << 20
