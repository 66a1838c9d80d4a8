"""Stubs choose a device tree by the machine's SMBIOS tables, and hand it to the kernel."""

from __future__ import annotations

import json
import tomllib

import pytest
import tomli_w

from boards import chid, device_tree, hwids, smbios
from payloads import catalogue
from shim.config.platform import load_platform
from shim.handoff import ram_image
from ukis import as_kernel, extend

DEVICE_TREE_TABLE = "b1b621d5-f19c-41a5-830b-d9152c69aae0"
TREES = [(".dtbauto", device_tree(f"acme,anvil{number}")) for number in range(3, 200)]
BOARDS = {chid("Acme", f"Anvil {number}"): f"acme,anvil{number}" for number in range(3, 200)}

pytestmark = pytest.mark.kernel


@pytest.fixture
def run(kernel, command, tmp_path):
    """Runs a stub with sections on a machine that SMBIOS says something of; gives its tables and RAM."""

    def run_it(stub, sections, table):
        (tmp_path / "image.efi").write_bytes(extend(kernel(stub).data, sections))
        (tmp_path / "smbios.bin").write_bytes(table)
        machine = tomllib.loads(load_platform("virt-arm64").toml)
        # A stub chooses only where the firmware has no tree.
        machine.pop("device_tree", None)
        machine["smbios"] = {"file": "smbios.bin"}
        (tmp_path / "machine.toml").write_text(tomli_w.dumps(machine))
        given = ("--platform", "machine.toml", "--trace", "calls", "--json", "--dump-ram", "--out", "run")
        done = command("run", "image.efi", *given)
        assert done.code == 0, done.out
        report = json.loads(done.out)
        assert report["findings"] == []
        state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
        return state["configuration_tables"], ram_image.of_run(tmp_path / "run")

    return run_it


def program():
    return as_kernel(catalogue.program("program:handoff_like-aarch64").read_bytes())


@pytest.mark.parametrize("suite", ["trixie", "sid"])
@pytest.mark.parametrize("number", [5, 7])
def test_systemd_stub_takes_the_tree_of_the_board(suite, number, run):
    sections = [(".linux", program()), (".hwids", hwids(BOARDS)), *TREES[:9]]
    tables, ram = run(f"debian:{suite}/systemd-stub-arm64", sections, smbios("Acme", f"Anvil {number}"))
    tree = dict(zip(range(3, 12), TREES, strict=False))[number][1]
    assert ram.read(tables[DEVICE_TREE_TABLE], 40) == tree[:40]
    assert f"acme,anvil{number}\0".encode() in ram.read(tables[DEVICE_TREE_TABLE], len(tree))


def test_a_board_that_nobody_knows_gets_no_tree(run):
    sections = [(".linux", program()), (".hwids", hwids(BOARDS)), *TREES[:3]]
    tables, _ = run("debian:trixie/systemd-stub-arm64", sections, smbios("Other", "Anvil 5"))
    assert DEVICE_TREE_TABLE not in tables


def test_stubble_hands_the_tree_to_a_real_kernel(run, kernel):
    """Out of 197, each a section: as many as images for real machines have."""
    inner = kernel("debian:bookworm/cloud-arm64").data
    sections = [(".linux", inner), (".cmdline", b"quiet"), (".hwids", hwids(BOARDS)), *TREES]
    tables, ram = run("debian:sid/stubble-arm64", sections, smbios("Acme", "Anvil 150"))
    # The kernel's stub makes a tree of its own from it, and hands that over.
    assert b"acme,anvil150\0" in ram.read(tables[DEVICE_TREE_TABLE], 4096)
