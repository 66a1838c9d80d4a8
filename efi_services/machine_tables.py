"""What tells of the machine, as configuration tables: ACPI, SMBIOS, the platform's own, and the runtime services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services import acpi, guids, smbios, tables
from efi_services.memory_map import AllocateType, MemoryType
from efi_services.protocols.cc_measurement import CC_TYPES
from efi_services.system_table import RUNTIME_PROPERTY_BITS

if TYPE_CHECKING:
    from efi_services.firmware import Firmware


def offer_tables(firmware: Firmware) -> None:
    """Lay the platform's tables out in guest memory and install them."""
    platform, provide, install = firmware.platform, firmware.provide, firmware.configuration.install
    own_tables = platform.acpi + _logs_in_acpi(firmware)
    if own_tables:
        own_tables = acpi.complete(own_tables, x86=firmware.abi.name in ("i386", "x86_64"))

        def place(table: bytes) -> int:
            if table[:4] == b"FACS":
                # At a multiple of 64, and what the kernel writes stays (ACPI 6.5, section 5.2.10).
                at = firmware.allocate_pages(AllocateType.AnyPages, MemoryType.ACPIMemoryNVS, 1)
                firmware.memory.write(at, table)
                firmware.observer.provided("ACPI FACS", at, table)
                return at
            return provide(table, MemoryType.ACPIReclaimMemory, f"ACPI {table[:4].decode('latin-1')}")

        root = place(acpi.xsdt(acpi.provide(own_tables, place)))
        install(guids.ACPI_20_TABLE, provide(acpi.rsdp(root), MemoryType.ACPIReclaimMemory, "ACPI RSDP"))
    if platform.smbios:
        at = provide(platform.smbios, MemoryType.RuntimeServicesData, "SMBIOS structures")
        point = smbios.entry_point(at, len(platform.smbios))
        install(guids.SMBIOS3_TABLE, provide(point, MemoryType.RuntimeServicesData, "SMBIOS entry point"))
    for each in platform.tables:
        name = f"configuration table {guids.name_of(each.vendor)}"
        install(each.vendor, provide(each.data, MemoryType(each.memory_type), name))
    properties = _runtime_properties(platform.runtime_services)
    install(guids.RT_PROPERTIES_TABLE, provide(properties, MemoryType.RuntimeServicesData, "runtime properties"))


def _logs_in_acpi(firmware: Firmware) -> tuple[bytes, ...]:
    """The ACPI tables that tell the kernel of the TPM and of the logs, unless the platform has them itself."""
    measurer, platform = firmware.measurer, firmware.platform
    made = []
    if measurer.tpm is not None and platform.tpm is not None:
        log = measurer.tpm.areas.log
        made.append(acpi.tpm2(platform.tpm.interface, log.address, log.size))
    if measurer.cc is not None:
        log = measurer.cc.areas.log
        made.append(acpi.ccel(CC_TYPES[measurer.cc.kind], log.address, log.size))
    given = {each[:4] for each in platform.acpi}
    return tuple(each for each in made if each[:4] not in given)


def _runtime_properties(allowed: int) -> bytes:
    """EFI_RT_PROPERTIES_TABLE (section 4.6.2): what is implemented, as far as the platform allows it."""
    implemented = {each.name for each in tables.RUNTIME_SERVICES if each is not None and each.implemented}
    mask = sum(1 << bit for bit, name in enumerate(RUNTIME_PROPERTY_BITS) if name in implemented)
    return (1).to_bytes(2, "little") + (8).to_bytes(2, "little") + (mask & allowed).to_bytes(4, "little")
