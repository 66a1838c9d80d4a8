"""What takes the place of the gates of runtime services."""

from __future__ import annotations

import struct

import pytest

from efi_services.abi import ABIS
from efi_services.system_table import RUNTIME_PROPERTY_BITS
from shim.boot import runtime
from shim.boot.given import Variable, given
from shim.trace.folder import open_run

PROPERTIES = "eb66918a-7eef-402a-842e-931d21c38ae9"
PAGE = 4096


@pytest.fixture
def folder(run):
    return given(open_run(run()))


def made(given):
    (gates, code), (properties, mask) = runtime.patches(given, given.ram.read)
    return gates, code, properties, int.from_bytes(mask, "little")


def names(mask):
    return {name for bit, name in enumerate(RUNTIME_PROPERTY_BITS) if mask >> bit & 1}


def test_code_where_the_gates_were(folder):
    gates, code, properties, mask = made(folder)
    gate = ABIS["x86_64"].return_instruction.ljust(16, b"\xcc")
    assert folder.ram.read(gates, PAGE) == gate * 256
    assert properties == folder.state.configuration_tables[PROPERTIES] + 4
    assert names(mask) == runtime.SERVICES
    assert len(code) == PAGE
    # Each gate that the table has leads into the code.
    assert all(code[16 * n] == 0xE9 for n in range(14))
    assert b"S\0e\0c\0u\0r\0e\0B\0o\0o\0t\0\0\0\0" in code


def test_variables_that_do_not_fit_are_not_offered(folder):
    folder.state.variables.append(Variable(name="large", vendor=PROPERTIES, attributes=6, data="00" * PAGE))
    _, code, _, mask = made(folder)
    assert names(mask) == {"GetTime", "SetVirtualAddressMap", "ResetSystem"}
    assert b"S\0e\0c\0u\0r\0e\0B\0o\0o\0t\0" not in code


def test_a_guest_sees_only_what_outlives_boot_services(folder):
    for name, attributes in (("shown", 6), ("hidden", 2)):
        folder.state.variables.append(Variable(name=name, vendor=PROPERTIES, attributes=attributes, data="00"))
    _, code, _, _ = made(folder)
    assert [name.encode("utf-16-le") in code for name in ("shown", "hidden")] == [True, False]


def test_what_the_platform_forbids_stays_forbidden(folder):
    at = folder.state.configuration_tables[PROPERTIES] + 4

    def read(address, size):
        return struct.pack("<I", 0x81) if (address, size) == (at, 4) else folder.ram.read(address, size)

    _, (_, mask) = runtime.patches(folder, read)
    assert names(int.from_bytes(mask, "little")) == {"GetTime", "SetVirtualAddressMap"}


def test_without_gates_nothing_is_offered(folder):
    def read(address, size):
        return bytes(size) if size == PAGE else folder.ram.read(address, size)

    ((_, mask),) = runtime.patches(folder, read)
    assert mask == bytes(4)


def test_without_a_table_the_code_is_there_all_the_same(folder):
    del folder.state.configuration_tables[PROPERTIES]
    ((_, code),) = runtime.patches(folder, folder.ram.read)
    assert len(code) == PAGE
