import zlib

import pytest

from efi_services import guids
from efi_services.abi import X86_64
from efi_services.memory_map import MemoryType
from efi_services.status import Status
from efi_services.system_table import TableHeader
from efi_services.tables import with_crc


def header(guest, at):
    return TableHeader.unpack(X86_64, guest.bytes_at(at, 24))


def crc_is_right(guest, at):
    found = header(guest, at)
    data = guest.bytes_at(at, found.header_size)
    return found.crc32 == zlib.crc32(data[:16] + bytes(4) + data[20:])


def table_addresses(guest):
    return guest.firmware.system_table, guest.boot_table, guest.runtime_table


def test_headers(guest):
    expected = ((b"IBI SYST", 120), (b"BOOTSERV", 376), (b"RUNTSERV", 136))
    for at, (signature, size) in zip(table_addresses(guest), expected, strict=True):
        found = header(guest, at)
        assert guest.bytes_at(at, 8) == signature
        assert (found.revision, found.header_size, found.reserved) == (0x0002_0064, size, 0)
        assert crc_is_right(guest, at)


def test_a_crc_covers_the_table_without_itself():
    table = bytes(range(40))
    made = with_crc(X86_64, table)
    assert made[:16] + made[20:] == table[:16] + table[20:]
    assert int.from_bytes(made[16:20], "little") == zlib.crc32(table[:16] + bytes(4) + table[20:])


def test_where_tables_lie(guest):
    kinds = [guest.firmware.memory_map.at(at).type for at in table_addresses(guest)]
    runtime = MemoryType.RuntimeServicesData
    assert kinds == [runtime, MemoryType.BootServicesData, runtime]


def test_every_slot_leads_to_a_return_instruction(guest, specification):
    assert len(guest.services) == len(specification.boot) - 1 + len(specification.runtime)
    assert len(set(guest.services.values())) == len(guest.services)
    for address in guest.services.values():
        assert any(start <= address < end for start, end in guest.firmware.gates.ranges)
        assert guest.bytes_at(address, 1) == b"\xc3"
    assert guest.u64(guest.boot_table + 160) == 0


def test_the_system_table(power_on):
    guest = power_on(vendor="ACME", revision=0x1234)
    at = guest.firmware.system_table
    assert guest.bytes_at(guest.u64(at + 24), 10) == "ACME\0".encode("utf-16-le")
    assert guest.u32(at + 32) == 0x1234
    handle, con_in = guest.u64(at + 40), guest.u64(at + 48)
    out_handle, con_out = guest.u64(at + 56), guest.u64(at + 64)
    assert guest.firmware.handles.get(handle, guid("387477c1-69c7-11d2-8e39-00a0c969723b")).interface == con_in
    assert guest.firmware.handles.get(out_handle, guid("387477c2-69c7-11d2-8e39-00a0c969723b")).interface == con_out
    assert (guest.u64(at + 72), guest.u64(at + 80)) == (out_handle, con_out)
    assert guest.u64(at + 104) == 1


def guid(text):
    return guids.Guid(text)


def test_a_platform_without_a_console(power_on):
    guest = power_on(console=False)
    assert guest.bytes_at(guest.firmware.system_table + 40, 48) == bytes(48)


def test_after_exit_boot_services(guest):
    at, kept = guest.firmware.system_table, guest.tables()
    runtime, vendor = guest.u64(at + 88), guest.u64(at + 24)
    guest.exit_boot_services()
    assert guest.bytes_at(at + 40, 48) == bytes(48), "the console is gone"
    assert guest.u64(at + 96) == 0, "boot services are gone"
    assert (guest.u64(at + 88), guest.u64(at + 24)) == (runtime, vendor)
    assert guest.tables() == kept
    assert crc_is_right(guest, at)
    assert crc_is_right(guest, runtime)


@pytest.mark.parametrize("change", [1, -1])
def test_the_crc_follows_configuration_tables(guest, change):
    at = guest.firmware.system_table
    if change == -1:
        assert guest.call("InstallConfigurationTable", guest.put(guids.RT_PROPERTIES_TABLE), 0) == Status.SUCCESS
    else:
        assert guest.call("InstallConfigurationTable", guest.put(guid("0" * 31 + "1")), 5) == Status.SUCCESS
    assert guest.u64(at + 104) == 1 + change
    assert crc_is_right(guest, at)
