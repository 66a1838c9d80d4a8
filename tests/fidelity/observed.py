"""What can be seen of a boot, of ours and of a real one alike."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from efi_services.memory_map import MemoryType
from efi_services.tcg.algorithms import Algorithm
from shim.handoff import device_tree, x86
from shim.measure.readers import ReadLog, read

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The kernel's words for types of memory (drivers/firmware/efi/efi.c).
_TYPES = {
    "Reserved": "ReservedMemoryType", "Loader Code": "LoaderCode", "Loader Data": "LoaderData",
    "Boot Code": "BootServicesCode", "Boot Data": "BootServicesData", "Runtime Code": "RuntimeServicesCode",
    "Runtime Data": "RuntimeServicesData", "Conventional": "ConventionalMemory", "Unusable": "UnusableMemory",
    "ACPI Reclaim": "ACPIReclaimMemory", "ACPI Mem NVS": "ACPIMemoryNVS", "MMIO": "MemoryMappedIO",
    "MMIO Port": "MemoryMappedIOPortSpace", "PAL Code": "PalCode", "Persistent": "PersistentMemory",
    "Unaccepted": "UnacceptedMemoryType",
}  # fmt: skip
#: What the kernel calls configuration tables in its log, by GUID. It says nothing of others.
TABLES = {
    "8868e871-e4f1-11d3-bc22-0080c73c8881": "ACPI 2.0",
    "eb9d2d30-2d88-11d3-9a16-0090273fc14d": "ACPI",
    "eb9d2d31-2d88-11d3-9a16-0090273fc14d": "SMBIOS",
    "f2fd1544-9794-4a2c-992e-e5bbcf20e394": "SMBIOS 3.0",
    "dcfa911d-26eb-469f-a220-38b7dc461220": "MEMATTR",
    "1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b": "RNG",
    "b7799cb0-eca2-4943-9667-1fae07b747fa": "TPMEventLog",
    "1e2ed096-30e2-4254-bd89-863bbef82325": "TPMFinalLog",
    "5568e427-68fc-4f3d-ac74-ca555231cc68": "INITRD",
    "888eb0c6-8ede-4ff5-a8f0-9aee5cb977c2": "MEMRESERVE",
    "eb66918a-7eef-402a-842e-931d21c38ae9": "RTPROP",
}
_LINE = re.compile(r"^\[ *\d+\.\d+\] (.*)$", re.MULTILINE)
_DESCRIPTOR = re.compile(
    r"efi: +(?:mem\d+: )?(?:0x(?P<one>[0-9a-f]+)-0x(?P<two>[0-9a-f]+) )?\[(?P<type>[^|\]]+?) *\|(?P<run>...)\|"
    r"[^\]]*\](?: range=\[0x(?P<start>[0-9a-f]+)-0x(?P<end>[0-9a-f]+)\])?"
)
_TABLE = re.compile(r"([A-Za-z][A-Za-z0-9 .]*?)=0x([0-9a-f]+)")
RUNTIME = 1 << 63


@dataclass(frozen=True, slots=True)
class Range:
    """A descriptor of the EFI memory map; *end* is behind it."""

    start: int
    end: int
    type: str
    runtime: bool


@dataclass(frozen=True)
class Observed:
    """One boot. What can't be known of it is None or empty."""

    #: What the firmware calls itself.
    firmware: str
    cmdline: str
    initrd_sha256: str | None
    log: ReadLog
    registers: dict[int, dict[Algorithm, bytes]] = field(default_factory=dict)
    #: Configuration tables by the kernel's name for them.
    tables: dict[str, int] = field(default_factory=dict)
    memory_map: tuple[Range, ...] = ()
    tpm2: bytes | None = None
    boot_params: dict[str, Any] | None = None
    chosen: dict[str, Any] | None = None

    def type_at(self, address: int) -> str:
        """The type of the memory at an address."""
        return next((each.type for each in self.memory_map if each.start <= address < each.end), "in no descriptor")


def of_guest(files: Mapping[str, bytes]) -> Observed:
    """What a guest collected; raises KeyError where a file is missing."""
    messages = files["dmesg"].decode("utf-8", "replace")
    lines = _LINE.findall(messages)
    vendor = next((each for each in lines if re.match(r"efi: EFI v[\d.]+ by ", each)), "efi: none")
    page, tree = files.get("sys/kernel/boot_params/data"), files.get("sys/firmware/fdt")
    initrd = files.get("initrd.sha256")
    return Observed(
        firmware=vendor.removeprefix("efi: "),
        cmdline=files["proc/cmdline"].decode().rstrip("\n"),
        initrd_sha256=initrd.split()[0].decode() if initrd else None,
        log=read(files["sys/kernel/security/tpm0/binary_bios_measurements"]),
        registers=registers(files),
        tables=tables(lines),
        memory_map=memory_map(lines),
        tpm2=files.get("sys/firmware/acpi/tables/TPM2"),
        boot_params=x86.decode(page) if page is not None and len(page) >= x86.SIZE else None,
        chosen=device_tree.chosen(tree) if tree is not None else None,
    )


def registers(files: Mapping[str, bytes]) -> dict[int, dict[Algorithm, bytes]]:
    """What the TPM's registers held, from /sys/class/tpm."""
    found: dict[int, dict[Algorithm, bytes]] = {}
    for path, data in files.items():
        match = re.fullmatch(r"sys/class/tpm/tpm0/pcr-(\w+)/(\d+)", path)
        algorithm = next((each for each in Algorithm if match and each.label == match[1]), None)
        if match and algorithm is not None:
            found.setdefault(int(match[2]), {})[algorithm] = bytes.fromhex(data.decode())
    return found


def tables(lines: list[str]) -> dict[str, int]:
    """The configuration tables that the kernel tells of."""
    known = set(TABLES.values())
    for each in lines:
        found = {name: int(address, 16) for name, address in _TABLE.findall(each.removeprefix("efi: "))}
        if each.startswith("efi: ") and found.keys() & known:
            return found
    return {}


def memory_map(lines: list[str]) -> tuple[Range, ...]:
    """The memory map that ``efi=debug`` lets the kernel tell of: the first one, as x86 later tells of its own."""
    found: list[Range] = []
    for each in lines:
        match = _DESCRIPTOR.match(each)
        if match is None:
            if found:
                break
            continue
        start, end = match["start"] or match["one"], match["end"] or match["two"]
        if start is not None and end is not None:
            kind = _TYPES.get(match["type"], match["type"])
            found.append(Range(int(start, 16), int(end, 16) + 1, kind, match["run"] == "RUN"))
    return tuple(found)


def table_fields(table: bytes) -> dict[str, str]:
    """An ACPI table TPM2, field by field (TCG ACPI 1.2, section 7.3)."""
    size, revision = struct.unpack_from("<IB", table, 4)
    platform_class, control_area, method = struct.unpack_from("<HxxQI", table, 36)
    found = {
        "checksum": "right" if sum(table) & 0xFF == 0 else "wrong",
        "length": str(size),
        "revision": str(revision),
        "OEM": table[10:16].decode("latin-1").strip("\0 "),
        "platform class": str(platform_class),
        "control area": f"{control_area:#x}",
        "start method": str(method),
    }
    if size >= 76:
        length, address = struct.unpack_from("<IQ", table, 64)
        found |= {"log area's size": f"{length:#x}", "log area": f"{address:#x}"}
    return found


def type_name(number: int) -> str:
    """A memory type by its number."""
    return MemoryType(number).name
