"""Two boots beside each other: what is equal, what differs, and why, as far as what was seen explains it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from efi_services.tcg.events import EventType
from observed import table_fields
from shim.measure.compare import Difference, Kind, compare
from shim.measure.formats.explain import called
from shim.measure.formats.fields import fields, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.events import Event
    from observed import Observed, Range
    from shim.measure.model import Measurements

    Registers = Mapping[int, Mapping[Algorithm, bytes]]

RAM_TYPES = frozenset((
    "LoaderCode", "LoaderData", "BootServicesCode", "BootServicesData", "RuntimeServicesCode", "RuntimeServicesData",
    "ConventionalMemory", "ACPIReclaimMemory", "ACPIMemoryNVS", "ReservedMemoryType",
))  # fmt: skip
#: Linux extends it with what IMA finds after the boot.
_IMA_PCR = 10
#: The registers that a static boot extends.
_BOOT_PCRS = range(10)
_OWN_FIRMWARE = "a machine's firmware measures its own code, and ours has none of it unless the platform tells"
#: Why data differ where digests don't, by the field.
_DATA_WHY = {
    "location": "EDK2 has the file in memory and tells where, ours has it outside of guest memory",
    "path": "each has its own device: {theirs}, ours {ours}",
}


class Verdict(StrEnum):
    """How something compares. What is *unexplained* makes the command fail."""

    EQUAL = "equal"
    DIFFERS = "differs"
    UNEXPLAINED = "**unexplained**"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was compared."""

    what: str
    verdict: Verdict
    why: str = ""


def row(what: str, ours: object, theirs: object, why: str = "") -> Row:
    """Equal, or different with both values and the reason; without a reason it is unexplained."""
    if ours == theirs:
        return Row(what, Verdict.EQUAL, str(ours))
    return Row(what, Verdict.DIFFERS if why else Verdict.UNEXPLAINED, f"ours {ours}, there {theirs}. {why}".strip())


# The log.


def events(measured: Measurements, real: Observed) -> list[Row]:
    """The events of the real log in its order, and then those that are in ours alone."""
    found = compare(measured, real.log, real.registers)
    theirs = {each.theirs: each for each in found if each.theirs is not None}
    rows = []
    for number, event in enumerate(real.log.events):
        what = f"{number}: PCR {event.index}, {called(event)}"
        if not event.extends:
            rows.append(Row(what, Verdict.EQUAL, "informs only"))
        elif event.index in measured.unknown:
            rows.append(_of_unknown(what, event, measured))
        elif number in theirs:
            rows.append(_differing(what, theirs[number], event, measured))
        else:
            rows.append(Row(what, Verdict.EQUAL))
    return rows + [
        Row(f"in ours alone: {each.register}", Verdict.UNEXPLAINED, each.why)
        for each in found
        if each.kind is Kind.MISSING
    ]


def order(measured: Measurements, real: Observed) -> Row:
    """Whether what both have measured comes in one order, over all registers."""
    ours = [(each.index, _digest(each)) for each in measured.events if each.extends]
    theirs = [(each.index, _digest(each)) for each in real.log.events if each.extends]
    both = set(ours) & set(theirs)
    one, two = ([each for each in side if each in both] for side in (ours, theirs))
    if one == two:
        return Row("order of the events that both have, over all registers", Verdict.EQUAL, f"{len(one)} events")
    at = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    return Row("order of the events that both have", Verdict.UNEXPLAINED, f"another one from common event {at} on")


def registers(measured: Measurements, ours: Registers, real: Observed) -> list[Row]:
    """The TPM's registers beside ours, as far as ours are told, and beside the replay of its own log."""
    rows = [_replay(real)]
    for index in _BOOT_PCRS:
        if index in measured.unknown:
            rows.append(Row(f"PCR {index}", Verdict.DIFFERS, f"the value is not known: {_OWN_FIRMWARE}"))
        else:
            rows.append(_register(index, ours, real, "It follows from the events above."))
    return rows


def all_equal(measured: Measurements, ours: Registers, real: Observed) -> list[Row]:
    """As `registers`, where nothing may differ any more: the platform knows the machine's own part."""
    found = [each for each in compare(measured, real.log, real.registers) if each.matters]
    return [
        *(Row(str(each), Verdict.UNEXPLAINED) for each in found),
        *(_register(index, ours, real) for index in _BOOT_PCRS),
    ]


def by_a_tool(tool: str, replayed: Registers, real: Observed) -> Row:
    """What a tool of others' says that our log comes to, beside the machine's TPM."""
    wrong = [
        f"PCR {index} {algorithm.label}"
        for index in _BOOT_PCRS
        for algorithm, value in replayed.get(index, {}).items()
        if real.registers[index].get(algorithm) != value
    ]
    said = f"{len(replayed.keys() & set(_BOOT_PCRS))} registers as in the machine's TPM"
    return row(f"our log, replayed by {tool}", ", ".join(wrong) if wrong or not replayed else said, said)


def _replay(real: Observed) -> Row:
    wrong = [
        f"PCR {index} {algorithm.label}"
        for index, values in sorted(real.log.registers().items())
        for algorithm, value in values.items()
        if index != _IMA_PCR and real.registers[index][algorithm] != value
    ]
    return row("the machine's log, replayed, against its TPM", ", ".join(wrong) or "all registers", "all registers")


def _register(index: int, ours: Registers, real: Observed, why: str = "") -> Row:
    here, there = ours[index], real.registers[index]
    common = sorted(here.keys() & there.keys(), key=lambda each: each.number)
    differing = [each for each in common if here[each] != there[each]]
    if not common or differing:
        one, two = (", ".join(f"{each.label} {side[each].hex()}" for each in differing) for side in (here, there))
        return row(f"PCR {index}", one or "in other banks", two, why)
    shown = next(here[each].hex() for each in common if each.label == "sha256")
    return Row(f"PCR {index}", Verdict.EQUAL, f"in {', '.join(each.label for each in common)}; sha256 {shown}")


def _digest(event: Event) -> bytes:
    """By the bank that all logs have here."""
    return next((value for each, value in event.digests.items() if each.label == "sha256"), b"")


def _of_unknown(what: str, event: Event, measured: Measurements) -> Row:
    if any(each.index == event.index and _digest(each) == _digest(event) for each in measured.events):
        return Row(what, Verdict.EQUAL)
    why = _machines_own(event)
    return Row(what, Verdict.DIFFERS if why else Verdict.UNEXPLAINED, f"not in ours: {why}" if why else "not in ours")


def _differing(what: str, found: Difference, event: Event, measured: Measurements) -> Row:
    if found.kind is Kind.DATA:
        return Row(what, Verdict.EQUAL, f"in digest; the data differ: {_other_data(found, event, measured)}")
    if found.kind is Kind.EXTRA:
        why = _machines_own(event)
        if why:
            return Row(what, Verdict.DIFFERS, f"not in ours: {why}")
    if found.kind is Kind.DIFFERS and fields(event).get("variable") == "SecureBoot" and not fields(event)["value"]:
        return Row(what, Verdict.DIFFERS, "this firmware is built without Secure Boot, and has no such variable")
    return Row(what, Verdict.UNEXPLAINED, found.why)


def _other_data(found: Difference, event: Event, measured: Measurements) -> str:
    """In which fields, in words; addresses are left out, as they may differ with each boot."""
    assert found.ours is not None
    ours, theirs = fields(measured.events[found.ours]), fields(event)
    differing = [key for key in ours if ours[key] != theirs.get(key)]
    if not differing or not set(differing) <= _DATA_WHY.keys():
        return found.why
    return "; ".join(_DATA_WHY[key].format(ours=ours[key], theirs=theirs[key]) for key in differing)


def _machines_own(event: Event) -> str:
    """Why an event of the machine can't be one of ours, from what it says; empty where that is not known."""
    said = fields(event)
    match event.type:
        case EventType.EV_S_CRTM_VERSION:
            return f'the version that the firmware\'s build was given, "{text_of(event.data) or ""}"'
        case EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB | EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2 if said:
            return f"a firmware volume of EDK2's, {int(said['size'], 16) >> 10} KiB at {said['base']}"
        case EventType.EV_PLATFORM_CONFIG_FLAGS:
            return f'a file that EDK2 got from QEMU by fw_cfg, "{text_of(event.data) or event.data[:32].hex()}"'
        case EventType.EV_EFI_HANDOFF_TABLES | EventType.EV_EFI_HANDOFF_TABLES2:
            return "tables of the machine, such as SMBIOS"
        case EventType.EV_EFI_VARIABLE_BOOT | EventType.EV_EFI_VARIABLE_BOOT2:
            return f"the machine's own boot entries{_entry(said)}; the ready platform has none"
    return ""


def _entry(said: Mapping[str, str]) -> str:
    """The description in an EFI_LOAD_OPTION."""
    value = bytes.fromhex(said.get("value", ""))
    if said.get("variable") == "BootOrder":
        return f" (order {', '.join(f'{each:04X}' for (each,) in struct.iter_unpack('<H', value))})"
    text = value[6:].decode("utf-16-le", "replace").partition("\0")[0]
    return f' ("{text}")' if text.isprintable() else ""


# What the kernel was handed.


def handed(ours: Observed, real: Observed) -> list[Row]:
    """Command line, initrd, and the fields of boot_params or the properties of /chosen."""
    rows = [row("command line that the kernel saw", ours.cmdline, real.cmdline)]
    if real.initrd_sha256 is None:
        rows.append(Row("initrd that the kernel saw", Verdict.DIFFERS, "this kernel keeps no copy of it to look at."))
    else:
        rows.append(row("initrd that the kernel saw, SHA-256", ours.initrd_sha256, real.initrd_sha256))
    if ours.boot_params is not None and real.boot_params is not None:
        rows += _boot_params(ours.boot_params, real.boot_params)
    if ours.chosen is not None and real.chosen is not None:
        rows += _chosen(ours.chosen, real.chosen)
    return rows


def _boot_params(ours: dict[str, Any], real: dict[str, Any]) -> Iterator[Row]:
    # Addresses are where an allocator of a firmware found room.
    placed = {"ramdisk_image", "ext_ramdisk_image", "cmd_line_ptr", "ext_cmd_line_ptr"}
    for name in ours["fields"]:
        if name in placed:
            continue
        why = "the memory maps have different numbers of ranges." if name == "e820_entries" else ""
        yield row(f"boot_params, {name}", ours["fields"][name], real["fields"][name], why)
    for name in ("loader_signature", "descriptor_size", "descriptor_version"):
        yield row(f"boot_params, efi_info {name}", ours["efi_info"][name], real["efi_info"][name])


def _chosen(ours: dict[str, Any], real: dict[str, Any]) -> Iterator[Row]:
    yield row("/chosen, its properties", ", ".join(sorted(ours)), ", ".join(sorted(real)), _without(ours, real))
    placed = {"linux,uefi-system-table", "linux,uefi-mmap-start", "linux,uefi-mmap-size", "kaslr-seed"}
    for name in sorted((ours.keys() & real.keys()) - placed):
        yield row(f"/chosen, {name}", ours[name], real[name])


def _without(ours: dict[str, Any], real: dict[str, Any]) -> str:
    """Why properties are in one tree alone; empty where one of them has no known reason."""
    alone = ours.keys() ^ real.keys()
    return " ".join(_CHOSEN_WHY[each] for each in sorted(alone)) if alone <= _CHOSEN_WHY.keys() else ""


_CHOSEN_WHY = {
    "kaslr-seed": "The kernel takes the seed out of the tree when it has used it.",
    "stdout-path": "The ready platform has QEMU's device tree. EDK2 has ACPI in its place, and the stub makes a tree.",
}


# Tables and the memory map.

_TABLES_WHY = {
    "SMBIOS": "QEMU makes SMBIOS tables; the ready platform has none.",
    "SMBIOS 3.0": "QEMU makes SMBIOS tables; the ready platform has none.",
    "ACPI": "EDK2 publishes the ACPI 1.0 pointer beside that of 2.0; ours only the one that kernels prefer.",
    "MEMATTR": "EDK2 tells which parts of its runtime services' images are code; ours has no such images.",
    "RTPROP": "ours says by this table which runtime services there are; this EDK2 publishes none.",
}


def tables(ours: Observed, real: Observed) -> list[Row]:
    """Which configuration tables the kernel finds, and in which type of memory."""
    rows = []
    for name in sorted(ours.tables.keys() | real.tables.keys()):
        here, there = (each.type_at(each.tables[name]) if name in each.tables else "none" for each in (ours, real))
        why = _TABLES_WHY.get(name, "") if "none" in (here, there) else ""
        rows.append(row(f"configuration table {name}", here, there, why))
    return rows


def acpi_tpm2(ours: Observed, real: Observed) -> list[Row]:
    """The ACPI table that tells of the TPM, field by field."""
    if ours.tpm2 is None or real.tpm2 is None:
        return [row("ACPI table TPM2", *("there" if each.tpm2 else "none" for each in (ours, real)))]
    here, there = table_fields(ours.tpm2), table_fields(real.tpm2)
    why = {
        "OEM": "each names its maker.",
        "log area": "an address. Ours is that of the firmware's log; QEMU reserves an area of its own.",
    }
    return [row(f"ACPI table TPM2, {key}", here.get(key), there.get(key), why.get(key, "")) for key in here | there]


def memory(ours: Observed, real: Observed) -> list[Row]:
    """What has to hold of any memory map, on both."""
    rows = []
    for what, holds in INVARIANTS.items():
        broken = [name for name, each in (("ours", ours), ("there", real)) if not holds(each)]
        text = f"does not hold: {', '.join(broken)}"
        rows.append(Row(what, Verdict.UNEXPLAINED if broken else Verdict.EQUAL, text if broken else "holds on both"))
    sizes = [sum(each.end - each.start for each in side.memory_map if _is_ram(each)) >> 10 for side in (ours, real)]
    return [*rows, row("RAM that the map tells of, in KiB", *sizes)]


def _is_ram(each: Range) -> bool:
    """Reserved memory beyond RAM, as for PCI Express, is no RAM."""
    return each.type in RAM_TYPES and each.end <= _TOP


#: Both boards have 1 GiB, which ends here at the latest.
_TOP = 2 << 30


def _holds_initrd(seen: Observed) -> bool:
    return "INITRD" in seen.tables and seen.type_at(seen.tables["INITRD"]) == "LoaderData"


INVARIANTS = {
    "descriptors are whole pages, and not empty": lambda seen: all(
        each.start % 4096 == each.end % 4096 == 0 and each.start < each.end for each in seen.memory_map
    ),
    "descriptors do not overlap": lambda seen: all(
        one.end <= two.start for one, two in pairwise(sorted(seen.memory_map, key=lambda each: each.start))
    ),
    "there is free memory, and code of a loader": lambda seen: (
        {"ConventionalMemory", "LoaderCode"} <= {each.type for each in seen.memory_map}
    ),
    "runtime services' memory has the attribute RUNTIME": lambda seen: all(
        each.runtime for each in seen.memory_map if each.type.startswith("RuntimeServices")
    ),
    "nothing else of RAM has it": lambda seen: (
        not any(
            each.runtime for each in seen.memory_map if each.type in RAM_TYPES and not each.type.startswith("Runtime")
        )
    ),
    "configuration tables lie in memory that the kernel keeps": lambda seen: all(
        seen.type_at(at) in _KEPT for at in seen.tables.values()
    ),
}
#: Boot services' memory is not kept for long, but a stub's own loader data is until the kernel has reserved it.
_KEPT = ("ACPIReclaimMemory", "ACPIMemoryNVS", "RuntimeServicesData", "LoaderData", "BootServicesData")


def unexplained(rows: Iterable[Row]) -> list[Row]:
    """What makes a comparison fail."""
    return [each for each in rows if each.verdict is Verdict.UNEXPLAINED]
