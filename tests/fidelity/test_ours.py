"""Our side: the platform that a machine's log makes, the kernel as QEMU leaves it, and RAM."""

import hashlib
import struct

import pytest

import ours
from efi_services import acpi
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.log import encode
from ours import as_loaded, knowing, platform, tpm2, with_loader_fields
from shim.measure.readers import read
from shim.session.build import build


@pytest.fixture
def program():
    """A file with the mark of a bzImage's header, and nothing else of it."""
    return b"MZ" + bytes(0x200) + b"HdrS" + bytes(0x200)


def log_of(image):
    digest = {Algorithm.SHA256: hashlib.sha256(image).digest()}
    return read(encode((Event(4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION, digest, b""),), (Algorithm.SHA256,)))


def test_the_fields_that_qemu_fills_in(program):
    made = with_loader_fields(program, 0x1EECD8)
    changed = {at for at in range(len(made)) if made[at] != program[at]}
    assert changed <= {0x210, 0x211, *range(0x218, 0x220), *range(0x224, 0x226), *range(0x228, 0x22C)}
    assert made[0x210] == 0xB0
    # As QEMU 7.2 has it for 1 GiB.
    assert struct.unpack_from("<II", made, 0x218) == (0x3FDE9000, 0x1EECD8)
    assert struct.unpack_from("<I", made, 0x228) == (0x20000,)
    assert with_loader_fields(b"MZ" + bytes(0x400), 1) == b"MZ" + bytes(0x400)


def test_the_digest_in_the_log_tells_which_file_was_loaded(program, monkeypatch):
    monkeypatch.setattr(ours, "authenticode", lambda image, name: hashlib.new(name, image).digest())
    changed = with_loader_fields(program, 4096)
    assert as_loaded(program, log_of(program), 4096) == (program, False)
    assert as_loaded(program, log_of(changed), 4096) == (changed, True)
    assert as_loaded(program, log_of(with_loader_fields(program, 8192)), 4096) == (program, False)


def test_a_platform_that_knows_the_machine(pair):
    _, _, real = pair
    base = platform("q35-tpm", direct=True)
    assert base.firmware.direct_boot
    known = knowing(base, real.log)
    assert [(each.pcr, each.type) for each in known.tpm.events] == [(0, 8), (0, 0x80000008), (1, 10)]
    assert {each.name for each in known.variables} == {"BootOrder", "Boot0000"}
    assert known.tpm.banks == ("sha1", "sha256")
    _, made = build(known)
    assert made.direct_boot
    assert [each.digests for each in made.tpm.events] == [real.log.events[n].digests for n in (0, 1, 4)]


def test_a_ready_platform_boots_by_an_entry():
    assert not platform("virt-arm64-tpm", direct=False).firmware.direct_boot


def test_the_table_of_the_tpm_is_found_as_a_kernel_finds_it():
    table = acpi.tpm2("tis", 0x1000, 0x10000)
    other = acpi.table(b"SSDT", 2, b"")
    ram = bytearray(0x1000)
    for at, data in ((0x100, acpi.rsdp(0x200)), (0x200, acpi.xsdt([0x300, 0x400])), (0x300, other), (0x400, table)):
        ram[at : at + len(data)] = data
    assert tpm2(lambda at, size: bytes(ram[at : at + size]), 0x100) == table
    ram[0x400:0x404] = b"NONE"
    assert tpm2(lambda at, size: bytes(ram[at : at + size]), 0x100) is None
