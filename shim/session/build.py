"""From a platform as users write it to the layout of a machine and the data that the firmware wants."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from efi_services import guids
from efi_services import platform as firmware_platform
from efi_services.framebuffer import Resolution
from efi_services.guids import DEVICE_TREE
from efi_services.memory_map import PAGE, RAM, MemoryType, Owner, Range
from efi_services.platform import ConfigurationTable, Measuring
from efi_services.secure_boot import keys
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event
from efi_services.tcg.registers import MR_NAMES
from efi_services.variables import BOOTSERVICE_ACCESS, KEY_ATTRIBUTES, RUNTIME_ACCESS, Variable, secure_boot_set
from shim.config.keys import parse_keys
from shim.config.platform import MAX_MEMORY, MIN_MEMORY
from shim.errors import UsageError
from shim.machine.architectures import architecture_of
from shim.machine.machine import Layout
from shim.machine.user import USER_MODES
from shim.session.device_tree import flatten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shim.config.measuring import Digests, MeasuredEvent
    from shim.config.platform import Platform
    from shim.config.secure_boot import SecureBoot

Span = tuple[int, int]


def build(platform: Platform, *, unprivileged: bool = False) -> tuple[Layout, firmware_platform.Platform]:
    """The machine's layout and the firmware's platform; raises UsageError where the memory makes no sense.

    Where it is *unprivileged*, payloads run in user mode.
    """
    architecture = architecture_of(platform.machine, platform.exception_level, platform.id_registers)
    memory = platform.memory
    if memory.size % PAGE or not MIN_MEMORY <= memory.size <= MAX_MEMORY:
        raise UsageError(f"memory of {memory.size:#x} bytes: give whole pages, {MIN_MEMORY >> 20} MiB to 512 GiB")
    ram: list[Span] = [*memory.ranges]
    holes = [(each.start, each.start + each.size) for each in memory.holes]
    kept = [(each.start, each.start + each.size) for each in memory.reserved]
    _check(ram, holes, kept, architecture.address_limit)
    unmapped = [(each.start, each.start + each.size) for each in memory.reserved if not each.mapped]
    mapped = tuple(_subtract(ram, holes + unmapped))
    room = Layout.firmware_bytes(architecture, mapped)
    top = _place(ram, holes + kept, room)
    reserved = [
        Range(each.start, each.start + each.size, _memory_type(each.type), RAM, Owner.FIRMWARE)
        for each in memory.reserved
    ]
    reserved.append(Range(top, top + room, MemoryType.BootServicesData, RAM, Owner.FIRMWARE))
    taken = [(each.start, each.end) for each in reserved]
    free = [Range(start, end, MemoryType.ConventionalMemory, RAM) for start, end in _subtract(ram, holes + taken)]
    settings = platform.firmware
    layout = Layout(
        architecture,
        tuple(ram),
        mapped,
        page_tables=top,
        descriptor_tables=top + room - len(architecture.descriptor_tables),
        reserved=tuple((each.start, each.end, each.type.name) for each in reserved[:-1]),
        user_mode=USER_MODES[platform.machine] if unprivileged else None,
    )
    return layout, firmware_platform.Platform(
        name=platform.name,
        ranges=tuple(reserved + free),
        vendor=settings.vendor,
        revision=settings.revision,
        stack_bytes=settings.stack,
        heap_bytes=settings.heap,
        start_time=int(settings.start_time.timestamp()),
        variables=_variables(platform),
        secure_boot=firmware_platform.SecureBoot(
            platform.secure_boot.state, platform.secure_boot.enabled, platform.secure_boot.policy == "defer"
        ),
        tables=_tables(platform, ram),
        acpi=tuple(each.content for each in platform.acpi),
        smbios=platform.smbios.content if platform.smbios else b"",
        rng=settings.rng,
        memory_attribute=settings.memory_attribute,
        hii=settings.hii,
        boot_hart_protocol=settings.boot_hart_protocol,
        console=settings.console,
        keys=parse_keys(settings.keys),
        direct_boot=settings.direct_boot,
        tpm=_tpm(platform),
        cc=_cc(platform),
        graphics=_graphics(platform),
        slaunch=_slaunch(platform),
        runtime_services=settings.runtime_services,
    )


def _variables(platform: Platform) -> tuple[Variable, ...]:
    own = tuple(Variable(each.name, each.vendor, each.attributes, each.content) for each in platform.variables)
    named = {(each.name, each.vendor) for each in own}
    settings = platform.secure_boot
    mode = settings.state
    state = secure_boot_set(
        mode, secure_boot=settings.enabled and mode.has_platform_key, vendor_keys=settings.vendor_keys
    )
    return (*(each for each in (*state, *_keys(settings)) if (each.name, each.vendor) not in named), *own)


def _keys(settings: SecureBoot) -> Iterator[Variable]:
    """Secure Boot's keys, and what they are by default (UEFI 2.10, section 3.3), which is the same at power-on."""
    for (name, vendor), data in ((variable, settings.databases.get(variable[0])) for variable in keys.ALL):
        if data:
            yield Variable(name, vendor, KEY_ATTRIBUTES, data)
            yield Variable(f"{name}Default", guids.GLOBAL_VARIABLE, BOOTSERVICE_ACCESS | RUNTIME_ACCESS, data)


def _tables(platform: Platform, ram: list[Span]) -> tuple[ConfigurationTable, ...]:
    own = tuple(ConfigurationTable(each.vendor, each.content, _memory_type(each.type)) for each in platform.tables)
    if platform.device_tree is None:
        return own
    # The type of memory is what the Embedded Base Boot Requirements (2.1, section 2.3) want.
    tree = flatten(platform.device_tree, ram)
    return (ConfigurationTable(DEVICE_TREE, tree, MemoryType.ACPIReclaimMemory), *own)


def _tpm(platform: Platform) -> Measuring | None:
    tpm = platform.tpm
    if tpm is None:
        return None
    banks = tuple(each for each in Algorithm if each.label in tpm.active)
    events = _events((each.pcr, each) for each in tpm.events)
    known = {int(pcr): _digests(value) for pcr, value in tpm.known.items()}
    sizes = tpm.log_size, tpm.final_events_size
    return Measuring("tpm", banks, events, *sizes, interface=tpm.interface, known=known)


def _cc(platform: Platform) -> Measuring | None:
    cc = platform.cc
    if cc is None:
        return None
    events = _events((each.mr, each) for each in cc.events)
    algorithms = (Algorithm[cc.hash.upper()],)
    names = [each.lower() for each in MR_NAMES[cc.kind]]
    known = {names.index(name): _digests({cc.hash: value}) for name, value in cc.known.items()}
    return Measuring(cc.kind, algorithms, events, cc.log_size, cc.final_events_size, cc.header_index, known=known)


def _graphics(platform: Platform) -> firmware_platform.Graphics | None:
    screen = platform.graphics
    if screen is None:
        return None
    modes = tuple(Resolution(width, height) for width, height in screen.sizes)
    return firmware_platform.Graphics(modes, screen.modes.index(screen.mode))


def _slaunch(platform: Platform) -> firmware_platform.SecureLaunch | None:
    settings = platform.slaunch
    if settings is None or not settings.offered:
        return None
    return firmware_platform.SecureLaunch(
        generation=settings.kernel,
        architecture=settings.architecture,
        heap_bytes=settings.heap,
        parked=tuple(each == "parked" for each in settings.processors),
        on_boot_processor=settings.boot_processor,
        dma_protection=settings.dma_protection,
        locality_kept=settings.locality,
    )


def _events(given: Iterable[tuple[int, MeasuredEvent]]) -> tuple[Event, ...]:
    return tuple(Event(index, each.number, _digests(each.digests), each.content) for index, each in given)


def _digests(given: Digests) -> dict[Algorithm, bytes]:
    return {Algorithm[name.upper()]: bytes.fromhex(value) for name, value in given.items()}


def _memory_type(name: str) -> MemoryType:
    try:
        return MemoryType[name]
    except KeyError:
        raise UsageError(f"there is no memory type {name!r}") from None


def _check(ram: list[Span], holes: list[Span], reserved: list[Span], limit: int) -> None:
    """Refuse what is no memory map: pieces of pages, RAM over RAM, reservations of what is no RAM."""
    for start, end in (*ram, *holes, *reserved):
        if start % PAGE or end % PAGE or not 0 <= start < end <= limit:
            raise UsageError(f"memory {start:#x}..{end:#x}: give whole pages below {limit:#x}")
    for (_, end), (start, _) in pairwise(ram):
        if start < end:
            raise UsageError(f"memory goes on at {start:#x}, where there is some already")
    for (_, end), (start, _) in pairwise(sorted(reserved)):
        if start < end:
            raise UsageError(f"memory at {start:#x} is reserved twice")
    left = _subtract(reserved, _subtract(ram, holes))
    if left:
        raise UsageError(f"memory {left[0][0]:#x}..{left[0][1]:#x} is reserved, and there is none")


def _place(ram: list[Span], taken: list[Span], room: int) -> int:
    """Where the firmware's own tables go: the top of what is free of low RAM."""
    for start, end in reversed(_subtract(ram[:1], taken)):
        if end - start > room:
            return (end - room) & -PAGE
    raise UsageError("the platform's memory has no room for the firmware")


def _subtract(spans: list[Span], taken: list[Span]) -> list[Span]:
    """What of *spans* is left without *taken*, ascending."""
    left = sorted(spans)
    for start, end in taken:
        left = [
            part
            for span in left
            for part in ((span[0], min(span[1], start)), (max(span[0], end), span[1]))
            if part[0] < part[1]
        ]
    return left
