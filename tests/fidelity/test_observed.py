"""What is read out of a guest's files: lines as kernels 6.12 and 7.3 print them on OVMF and AAVMF."""

import pytest

from efi_services import acpi
from efi_services.tcg import log
from efi_services.tcg.algorithms import Algorithm
from observed import Range, memory_map, of_guest, registers, table_fields, tables

BLANK = "|  |  |  |  |  |  |  |  |  |   |WB|WT|WC|UC]"
X86 = f"""\
[    0.000000] efi: EFI v2.7 by EDK II
[    0.000000] efi: TPMFinalLog=0x3f7f6000 SMBIOS=0x3f520000 ACPI=0x3f77d000 ACPI 2.0=0x3f77d014 INITRD=0x3d8a8f18\x20
[    0.000000] efi: Remove mem131: MMIO range=[0xffc00000-0xffffffff] (4MB) from e820 map
[    0.000000] efi: mem00: [Conventional|   |{BLANK} range=[0x0000000000000000-0x000000000009ffff] (0MB)
[    0.000000] efi: mem83: [Runtime Data|RUN|{BLANK} range=[0x000000003ea9f000-0x000000003eba0fff] (1MB)
[    0.000000] secureboot: Secure boot disabled
[    0.700000] efi: mem00: [MMIO        |RUN|{BLANK} range=[0x00000000ffc00000-0x00000000ffffffff] (4MB)
"""
ARM64 = """\
[    0.000000] efi: EFI v2.7 by EDK II
[    0.000000] efi: SMBIOS 3.0=0x7fed0000 TPMFinalLog=0x7c430000 MEMATTR=0x7cd19018 MEMRESERVE=0x7c41ff98\x20
[    0.000000] efi: Processing EFI memory map:
[    0.000000] efi:   0x000040000000-0x000043ffffff [Conventional|   |  |  |  |  |  |  |  |  |  |   |WB|  |  |  ]
[    0.000000] efi:   0x00007c440000-0x00007c4bffff [Runtime Code|RUN|  |  |  |  |  |  |  |  |  |   |WB|  |  |  ]
[    0.000000] efi:   0x000009010000-0x000009010fff [MMIO        |RUN|  |  |  |  |  |  |  |  |  |   |  |  |  |UC]
[    0.334058] efi: memattr:  0x00007c4c0000-0x00007c67ffff [Runtime Data|RUN|  |  |  |  |  |XP|  |  |  |   |  |  ]
"""


def lines(text):
    return [each.partition("] ")[2] for each in text.splitlines()]


def test_the_memory_map_of_x86():
    assert memory_map(lines(X86)) == (
        Range(0, 0xA0000, "ConventionalMemory", False),
        Range(0x3EA9F000, 0x3EBA1000, "RuntimeServicesData", True),
    )


def test_the_memory_map_of_arm64():
    assert memory_map(lines(ARM64)) == (
        Range(0x40000000, 0x44000000, "ConventionalMemory", False),
        Range(0x7C440000, 0x7C4C0000, "RuntimeServicesCode", True),
        Range(0x9010000, 0x9011000, "MemoryMappedIO", True),
    )


def test_the_tables():
    assert tables(lines(X86)) == {
        "TPMFinalLog": 0x3F7F6000, "SMBIOS": 0x3F520000, "ACPI": 0x3F77D000, "ACPI 2.0": 0x3F77D014,
        "INITRD": 0x3D8A8F18,
    }  # fmt: skip
    assert tables(lines(ARM64)).keys() == {"SMBIOS 3.0", "TPMFinalLog", "MEMATTR", "MEMRESERVE"}
    assert tables(["efi: nothing here"]) == {}


def test_registers_by_bank():
    files = {
        "sys/class/tpm/tpm0/pcr-sha1/10": b"01" * 20 + b"\n",
        "sys/class/tpm/tpm0/pcr-sha256/10": b"02" * 32 + b"\n",
        "sys/class/tpm/tpm0/pcr-sm3-256/10": b"03" * 32 + b"\n",
        "sys/class/tpm/tpm0/other": b"x",
    }
    assert registers(files) == {10: {Algorithm.SHA1: b"\1" * 20, Algorithm.SHA256: b"\2" * 32}}


def test_the_table_of_the_tpm_by_fields():
    assert table_fields(acpi.tpm2("crb", 0x3F7E6000, 0x10000)) == {
        "checksum": "right", "length": "76", "revision": "4", "OEM": "EFSHIM", "platform class": "0",
        "control area": "0xfed40040", "start method": "7", "log area's size": "0x10000", "log area": "0x3f7e6000",
    }  # fmt: skip


def test_a_guest_as_a_whole(pair):
    _, ours, _ = pair
    files = {
        "dmesg": X86.encode(),
        "proc/cmdline": b"quiet initrd=initrd\n",
        "initrd.sha256": b"ab" * 32 + b"  -\n",
        "sys/kernel/security/tpm0/binary_bios_measurements": log.encode(ours.log.events, ours.log.algorithms),
        "sys/kernel/boot_params/data": bytes(0x1C0) + b"EL64" + bytes(4096 - 0x1C4),
    }
    seen = of_guest(files)
    assert (seen.firmware, seen.cmdline, seen.initrd_sha256) == ("EFI v2.7 by EDK II", "quiet initrd=initrd", "ab" * 32)
    assert seen.log.events == ours.log.events
    assert seen.boot_params["efi_info"]["loader_signature"] == "EL64"
    assert (seen.chosen, seen.tpm2) == (None, None)
    assert seen.type_at(0x3EA9F010) == "RuntimeServicesData"
    assert seen.type_at(0xFFFF_F000) == "in no descriptor"
    with pytest.raises(KeyError):
        of_guest({})
