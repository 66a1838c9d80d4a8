"""Slots of tables that a guest replaces."""

import zlib

import pytest

from efi_services import tables
from efi_services.abi import X86_64
from efi_services.guids import DEVICE_TREE, RT_PROPERTIES_TABLE
from specification import BOOT_SERVICES, RUNTIME_SERVICES


def poke(guest, address, value):
    """What a program's own instructions do."""
    guest._poke(address, value)


def found(guest):
    return [detail for kind, detail in guest.observer.findings if kind == "table-slot-replaced"]


def place(table, name):
    return next(at for at, each in table.items() if each == name)


@pytest.mark.parametrize(
    ("table", "name"),
    [(BOOT_SERVICES, "ExitBootServices"), (BOOT_SERVICES, "AllocatePool"), (RUNTIME_SERVICES, "GetVariable")],
)
def test_a_hook_is_told_with_whose_it_is(guest, table, name):
    base = guest.boot_table if table is BOOT_SERVICES else guest.runtime_table
    at = base + place(table, name)
    original = guest.u64(at)

    def main(*_):
        poke(guest, at, guest.firmware.images.get(handle).base + 0x1234)
        guest.call("Stall", 1)
        guest.call("Stall", 1)
        poke(guest, at, original)
        guest.call("Stall", 1)
        return 0

    handle = guest.load(main, name="rootkit")
    guest.call("StartImage", handle, 0, 0)
    where = "boot" if table is BOOT_SERVICES else "runtime"
    (told,) = found(guest)
    assert told.startswith(f"{name} of the {where} services table leads to ")
    assert " in child-1; noticed when " in told


def test_pointers_of_the_system_table_and_where_they_lead(guest):
    system = guest.firmware.system_table
    poke(guest, system + 64, guest.room())
    poke(guest, system + 96, 0)
    guest.call("Stall", 1)
    poke(guest, system + 88, guest.services["Stall"])
    guest.firmware.slots.look()
    first, second, third = found(guest)
    assert first.startswith("ConOut of the system table leads to ")
    assert "BootServices of the system table leads to 0x0, where nothing is" in second
    assert "another service of the firmware's; noticed at the run's end" in third


def test_the_slot_that_load_image_asks_through(guest):
    poke(guest, guest.firmware.security2, guest.room())
    guest.call("Stall", 1)
    (told,) = found(guest)
    assert told.startswith("FileAuthentication of the EFI_SECURITY2_ARCH_PROTOCOL leads to ")


def test_what_the_firmware_writes_itself_is_no_finding(guest):
    guest.call("InstallConfigurationTable", guest.put(RT_PROPERTIES_TABLE), guest.room())
    guest.exit_boot_services()
    # Boot services' table is nobody's now.
    poke(guest, guest.boot_table + 24, 7)
    guest.firmware.slots.look()
    assert found(guest) == []
    poke(guest, guest.runtime_table + 24, 7)
    guest.firmware.slots.look()
    assert len(found(guest)) == 1


def test_a_guests_change_of_the_system_table_stays(guest):
    """InstallConfigurationTable writes what it has to, as EDK2 does."""
    system, mine = guest.firmware.system_table, guest.room()
    poke(guest, system + 64, mine)
    count = guest.u64(system + 104)
    guest.call("InstallConfigurationTable", guest.put(DEVICE_TREE), guest.room())
    assert (guest.u64(system + 64), guest.u64(system + 104)) == (mine, count + 1)
    table = guest.bytes_at(system, 120)
    assert guest.u32(system + 16) == zlib.crc32(table[:16] + bytes(4) + table[20:])


def test_words_that_change_are_written_and_no_others():
    before, new = bytes(24) + b"a" * 8 + b"b" * 8, bytes(24) + b"a" * 8 + b"c" * 8
    now = bytes(24) + b"x" * 8 + b"y" * 8
    assert tables.rewritten(X86_64, now, before, new)[24:] == b"x" * 8 + b"c" * 8
