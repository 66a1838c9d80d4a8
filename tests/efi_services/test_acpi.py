import dataclasses
import struct

import pytest

from efi_services import acpi, guids, smbios


def table(signature, body=b""):
    return struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), 1, 0, b"TEST", b"TEST", 1, b"TEST", 1) + body


@pytest.mark.parametrize("at", [0, 3, 7])
def test_a_checksum_makes_the_sum_zero(at):
    made = acpi.checksummed(bytes(range(8)), at)
    assert sum(made) & 0xFF == 0
    assert [each for i, each in enumerate(made) if i != at] == [each for each in range(8) if each != at]


def test_a_checksum_over_a_part():
    made = acpi.checksummed(b"\1\2\3\4\5", 1, 3)
    assert sum(made[:3]) & 0xFF == 0
    assert made[3:] == b"\4\5"


def test_the_root_is_found_through_the_configuration_table(power_on):
    tables = (table(b"FACP"), table(b"APIC", b"x" * 11))
    guest = power_on(acpi=tables)
    root = guest.tables()[guids.ACPI_20_TABLE]
    rsdp = guest.bytes_at(root, 36)
    assert rsdp[:8] == b"RSD PTR "
    assert sum(rsdp[:20]) & 0xFF == sum(rsdp) & 0xFF == 0
    revision, length, xsdt_at = rsdp[15], *struct.unpack_from("<IQ", rsdp, 20)
    assert (revision, length) == (2, 36)
    size = guest.u32(xsdt_at + 4)
    xsdt = guest.bytes_at(xsdt_at, size)
    assert xsdt[:4] == b"XSDT"
    assert size == 36 + 16
    assert sum(xsdt) & 0xFF == 0
    found = [guest.bytes_at(at, guest.u32(at + 4)) for at in struct.unpack_from("<2Q", xsdt, 36)]
    assert found == list(tables)
    assert {guest.firmware.memory_map.at(at).type.name for at in (root, xsdt_at)} == {"ACPIReclaimMemory"}


@pytest.mark.parametrize("size", [116 - 36, 244 - 36])
def test_the_fixed_table_points_to_the_devices(power_on, size):
    """Wherever it stands among the tables; it has one place for the address, or two."""
    given = [table(each, bytes(size)) for each in (b"FACP", b"DSDT", b"APIC")]
    guest = power_on(acpi=tuple(acpi.checksummed(each, 9) for each in given))
    found = tables_of(guest)
    assert set(found) == {b"FACP", b"APIC"}
    fixed = found[b"FACP"]
    assert sum(fixed) & 0xFF == 0
    at = int.from_bytes(fixed[40:44], "little")
    assert guest.bytes_at(at, 36 + size) == acpi.checksummed(given[1], 9)
    if size > 116:
        assert int.from_bytes(fixed[140:148], "little") == at
    assert guest.firmware.memory_map.at(at).type.name == "ACPIReclaimMemory"


def test_devices_that_lie_high():
    fixed = acpi.linked(bytes(244), 0x1_2345_6789, 40, 140)
    assert fixed[40:44] == bytes(4)
    assert int.from_bytes(fixed[140:148], "little") == 0x1_2345_6789


def test_a_machine_that_sleeps_has_a_facs(power_on):
    """Where the fixed table tells of PM1's registers."""
    given = [table(b"DSDT"), table(b"FACP", bytes(64 - 36) + struct.pack("<I", 0x604) + bytes(244 - 68))]
    guest = power_on(acpi=tuple(acpi.checksummed(each, 9) for each in given))
    fixed = tables_of(guest)[b"FACP"]
    assert sum(fixed) & 0xFF == 0
    at = int.from_bytes(fixed[36:40], "little")
    assert int.from_bytes(fixed[132:140], "little") == at
    assert at % 64 == 0
    assert guest.bytes_at(at, 64) == acpi.facs() == struct.pack("<4sI24xB31x", b"FACS", 64, 1)
    assert guest.firmware.memory_map.at(at).type.name == "ACPIMemoryNVS"


def tables_of(guest):
    """The ACPI tables by their signatures."""
    xsdt_at = guest.u64(guest.tables()[guids.ACPI_20_TABLE] + 24)
    count = (guest.u32(xsdt_at + 4) - 36) // 8
    addresses = struct.unpack(f"<{count}Q", guest.bytes_at(xsdt_at + 36, 8 * count))
    return {guest.bytes_at(at, 4): guest.bytes_at(at, guest.u32(at + 4)) for at in addresses}


@pytest.mark.parametrize(("interface", "method", "control_area"), [("tis", 6, 0), ("crb", 7, 0xFED4_0040)])
def test_a_tpm_is_told_as_qemu_tells_it(power_on, measuring, interface, method, control_area):
    """The fields of what QEMU 7.2 gives a guest; the log area is the one that is filled."""
    settings = dataclasses.replace(measuring["tpm"], interface=interface)
    guest = power_on(tpm=settings)
    made = tables_of(guest)[b"TPM2"]
    assert (len(made), made[8], sum(made) & 0xFF) == (76, 4, 0)
    assert struct.unpack("<HHQI", made[36:52]) == (0, 0, control_area, method)
    assert made[52:64] == bytes(12)
    log = guest.firmware.measurer.tpm.areas.log
    assert struct.unpack("<IQ", made[64:]) == (log.size, log.address)
    assert guest.bytes_at(log.address + 32, 15) == b"Spec ID Event03"


def test_a_platforms_own_table_goes_before_ours(power_on, measuring):
    own = table(b"TPM2", b"own")
    found = tables_of(power_on(**measuring, acpi=(own,)))
    assert found.keys() == {b"TPM2", b"CCEL", b"FACP"}
    assert found[b"TPM2"] == own


@pytest.mark.parametrize("own", [(), (table(b"DSDT", b"mine"),)])
def test_tables_without_a_fixed_description_get_one(power_on, measuring, own):
    """Readers count on an FADT and a DSDT: GRUB 2.06 reads past the end of a list without an FADT."""
    guest = power_on(**measuring, acpi=own)
    found = tables_of(guest)
    fadt = found[b"FACP"]
    assert (len(fadt), fadt[8], sum(fadt) & 0xFF) == (276, 6, 0)
    (short,), (at,) = struct.unpack_from("<I", fadt, 40), struct.unpack_from("<Q", fadt, 140)
    dsdt = guest.bytes_at(at, guest.u32(at + 4))
    assert (at, dsdt[:4]) == (short, b"DSDT")
    assert dsdt == own[0] if own else (len(dsdt), sum(dsdt) & 0xFF) == (36, 0)
    assert b"DSDT" not in found
    # No PM timer, whose port nothing is behind, and no hardware-reduced ACPI, for which PCs are too old.
    assert struct.unpack_from("<I", fadt, 76) == (0,)
    assert struct.unpack_from("<I", fadt, 112) == (1,)


def test_there_is_no_fixed_hardware_outside_x86():
    assert struct.unpack_from("<I", acpi.fadt(x86=False), 112) == (1 << 20,)


def test_smbios(power_on):
    structures = b"\x7f\4\0\0\0\0"
    guest = power_on(smbios=structures)
    point = guest.bytes_at(guest.tables()[guids.SMBIOS3_TABLE], 24)
    assert point[:5] == b"_SM3_"
    assert point[6] == len(point) == 24
    assert sum(point) & 0xFF == 0
    assert (point[7], point[8]) == (3, 7)
    size, address = struct.unpack_from("<IQ", point, 12)
    assert guest.bytes_at(address, size) == structures
    assert smbios.entry_point(address, size) == point


def test_a_platform_without_either_has_neither_table(power_on):
    assert set(power_on().tables()) == {guids.RT_PROPERTIES_TABLE}
