"""The ACPI tables of a ready platform: those that QEMU gives its firmware, and a kernel starts with them."""

from __future__ import annotations

import json
import shutil
import struct

import pytest

import fw_cfg
from efi_services import acpi
from shim.config.platform import load_platform

NAME = "virt-arm64-acpi"
#: Of each platform: QEMU, its machine and CPU, how many tables there are, and how many checksums are not of those.
LIKE = {
    NAME: ("qemu-system-aarch64", "virt-7.2", "cortex-a57", 9, 3),
    "q35-acpi": ("qemu-system-x86_64", "pc-q35-7.2", "Westmere-v1", 5, 2),
}
ADD_CHECKSUM = 3


@pytest.mark.parametrize("name", LIKE)
def test_they_are_what_qemu_gives(need, tmp_path, name):
    """With the checksums that QEMU asks its firmware to fill in; what else is to be filled in is addresses."""
    program, machine, cpu, count, others = LIKE[name]
    need(program)
    given = fw_cfg.files(shutil.which(program), machine, cpu, tmp_path)
    content, script = given["etc/acpi/tables"], given["etc/table-loader"]
    asked = [script[at : at + 128] for at in range(0, len(script), 128)]
    places = [struct.unpack_from("<III", each, 60) for each in asked if each[0] == ADD_CHECKSUM]
    # The last are of the root pointer, in a file of its own; before them comes the list of tables.
    theirs = [acpi.checksummed(content[start : start + size], at - start) for at, start, size in places[:-others]]
    ours = [each.content for each in load_platform(name).acpi]
    assert len(ours) == count
    assert ours == theirs


@pytest.mark.kernel
def test_a_kernel_starts_by_acpi_alone(kernel, command, tmp_path):
    """The device tree is the stub's own, with nothing but what it has to tell the kernel."""
    name = "debian:trixie/cloud-arm64"
    kernel(name)
    done = command("run", name, "--platform", NAME, "--trace", "calls", "--json", "--out", "run")
    assert json.loads(done.out)["outcome"]["kind"] == "kernel-entry"
    state = json.loads((tmp_path / "run" / "handoff" / "state.json").read_text())
    assert "8868e871-e4f1-11d3-bc22-0080c73c8881" in state["configuration_tables"]
    assert "b1b621d5-f19c-41a5-830b-d9152c69aae0" not in state["configuration_tables"]
    assert "stdout-path" not in state["device_tree"]["chosen"]
