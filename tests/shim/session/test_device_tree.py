"""Device trees as the firmware hands them on: our reader, dtc, and QEMU's own trees are the judges."""

from __future__ import annotations

import shutil
import subprocess

import libfdt
import pytest

from shim.config.device_tree import Node
from shim.config.platform import load_platform
from shim.errors import UsageError
from shim.handoff.device_tree import chosen
from shim.session.device_tree import flatten

RAM = [(0x4000_0000, 0x8000_0000)]
#: QEMU's names of the machines that ready platforms are.
MACHINES = {
    "virt-arm64": ("qemu-system-aarch64", "virt-7.2", "cortex-a57"),
    "virt-arm64-el2": ("qemu-system-aarch64", "virt-7.2,virtualization=on", "cortex-a57"),
    "virt-arm": ("qemu-system-arm", "virt-7.2", "cortex-a15"),
    "virt-riscv64": ("qemu-system-riscv64", "virt", "rv64"),
}
#: What we add to QEMU's tree: what U-Boot or EDK II, and OpenSBI, add to it.
ADDED = {"virt-riscv64": {"/chosen": {"boot-hartid"}, "/reserved-memory": None}}


def read(data):
    """Properties by the path of their node."""
    tree = libfdt.Fdt(data)
    found, path = {}, []
    offset, depth = 0, 0
    while True:
        path[depth:] = [tree.get_name(offset)]
        node = found["/".join(path) or "/"] = {}
        at = tree.first_property_offset(offset, [libfdt.NOTFOUND])
        while at >= 0:
            each = tree.get_property_by_offset(at)
            node[each.name] = bytes(each)
            at = tree.next_property_offset(at, [libfdt.NOTFOUND])
        offset, depth = tree.next_node(offset, depth, [libfdt.NOTFOUND])
        if offset < 0 or depth < 0:
            return found


def test_properties_have_their_form():
    tree = Node.model_validate(
        {
            "one": 1, "last": 0xFFFF_FFFF, "cells": [1, 2], "text": "a", "texts": ["a", "bc"], "there": True,
            "none": [], "inner@1": {"x": "y", "deeper": {"z": 3}},
        }
    )  # fmt: skip
    assert read(flatten(tree, RAM)) == {
        "/": {
            "one": b"\0\0\0\1", "last": b"\xff" * 4, "cells": b"\0\0\0\1\0\0\0\2", "text": b"a\0", "texts": b"a\0bc\0",
            "there": b"", "none": b"",
        },
        "/inner@1": {"x": b"y\0"},
        "/inner@1/deeper": {"z": b"\0\0\0\3"},
        "/memory@40000000": {
            "device_type": b"memory\0", "reg": bytes.fromhex("0000000040000000 0000000040000000"),
        },
    }  # fmt: skip


def test_ram_in_two_pieces_and_small_cells():
    tree = Node.model_validate({"#address-cells": 2, "#size-cells": 1})
    ram = [(0, 0x8000_0000), (1 << 32, (1 << 32) + 0x1000)]
    assert read(flatten(tree, ram))["/memory@0"]["reg"] == bytes.fromhex(
        "0000000000000000 80000000 0000000100000000 00001000"
    )


def test_ram_that_the_cells_can_not_tell():
    with pytest.raises(UsageError, match="cells"):
        flatten(Node.model_validate({"#address-cells": 1, "#size-cells": 1}), [(1 << 32, 1 << 33)])


def test_a_platform_can_tell_of_its_ram_itself():
    found = read(flatten(Node.model_validate({"memory@0": {"device_type": "memory"}}), RAM))
    assert set(found) == {"/", "/memory@0"}


def test_a_tree_that_no_kernel_takes():
    with pytest.raises(UsageError, match="kernels take"):
        flatten(Node.model_validate({"x": "y" * (2 << 20)}), RAM)


@pytest.mark.parametrize("name", MACHINES)
def test_our_reader_and_dtc_read_it(name, need, tmp_path):
    data = flatten(load_platform(name).device_tree, RAM)
    assert "stdout-path" in chosen(data)
    need("dtc")
    (tmp_path / "tree.dtb").write_bytes(data)
    done = subprocess.run(["dtc", "-I", "dtb", "-O", "dts", "tree.dtb"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", MACHINES)
def test_it_is_what_qemu_gives(name, need, tmp_path):
    """But for random seeds."""
    program, machine, cpu = MACHINES[name]
    need(program)
    platform = load_platform(name)
    subprocess.run(
        [shutil.which(program), "-machine", f"{machine},dumpdtb=qemu.dtb", "-cpu", cpu, "-m", "1G", "-display", "none"],
        cwd=tmp_path, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    theirs = read((tmp_path / "qemu.dtb").read_bytes())
    base = platform.memory.base
    ours = read(flatten(platform.device_tree, [(base, base + platform.memory.size)]))
    for seed in ("kaslr-seed", "rng-seed"):
        assert seed not in ours["/chosen"]
        theirs["/chosen"].pop(seed, None)
    for node, names in ADDED.get(name, {}).items():
        for path in [each for each in ours if each == node or each.startswith(f"{node}/")]:
            if names is None:
                del ours[path]
            else:
                for each in names:
                    del ours[path][each]
    assert ours == theirs
