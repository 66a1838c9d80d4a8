"""A dynamic launch as TrenchBoot does it: what the launched kernel measures of what it was handed.

The kernel walks the policy of the SLR table, and extends PCR 17 and 18 from locality 2. What the launch itself puts
there before, an ACM or SKL, is not part of a run: those registers' values are known only if the option dce gives it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from efi_services.slaunch import slrt
from efi_services.slaunch.generations import GENERATIONS, policy
from efi_services.slaunch.slrt import Entity
from efi_services.tcg.algorithms import Algorithm, by_label, digests
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.registers import DYNAMIC
from shim.errors import UnreadableError, UsageError
from shim.handoff import x86
from shim.measure import pieces, program
from shim.measure.model import Measured, Measurements
from shim.trace.inputs import find_payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from efi_services.slaunch.generations import Generation
    from efi_services.tcg.piece import Piece
    from shim.trace.folder import RunFolder

    Digests = dict[Algorithm, bytes]

OPTIONS = {
    "kernel": f"the year of its slr_table.h: {', '.join(GENERATIONS)}",
    "platform": "txt or skinit",
    "slrt": "a file with the machine's SLR table, whose policy is walked, and which is measured itself",
    "pcrs": "17,18 for details and authorities, or 20,19 as kernels of 2022 could be built",
    "dce": "with skinit, what PCR 17 was extended with before the kernel began, such as sha256:A,B,C: the digests of"
    " SKL, of the entry's offset and of the kernel; without them, the value stays unknown",
    "authority": "yes: who signed the kernel is measured too, which is this project's own",
    "sections": "yes: a unified kernel image's sections are measured too, which is this project's own",
}
BANKS = (Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384, Algorithm.SHA512)
_KIND = EventType.TXT_EVTYPE_SLAUNCH
#: Documentation/arch/x86/boot.rst: loadflags, and in it the flag of a secure launch.
_LOADFLAGS, _SLAUNCH_FLAG = 0x211, 1 << 2
#: What a dynamic launch itself extends, where an ACM and where SKL does it.
_LAUNCH = {"txt": frozenset({17, 18}), "skinit": frozenset({17})}
_LAUNCH_PCR = 17
_PIECES: dict[int, str] = {Entity.CMDLINE: "command line", Entity.UEFI_MEMMAP: "memory map", Entity.RAMDISK: "initrd"}


@dataclass
class _Walk:
    """The events so far, and what should be among them but is not known."""

    events: list[Event] = field(default_factory=list)
    unknown: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def add(self, pcr: int, text: str, found: Digests) -> None:
        self.events.append(Event(pcr, _KIND, {each: found[each] for each in BANKS}, text.encode("ascii", "replace")))

    def leave_out(self, pcr: int, text: str, why: str) -> None:
        self.unknown.add(pcr)
        self.notes.append(f'PCR {pcr}: "{text}" is left out: {why}')


def build(run: RunFolder, given: Mapping[str, str]) -> Measured:
    """The events of the launch, on top of nothing: PCRs 17 to 22 begin anew."""
    year = _one_of(given, "kernel", tuple(GENERATIONS))
    generation = GENERATIONS[year]
    platform = _one_of(given, "platform", ("txt", "skinit"))
    if platform == "skinit" and not generation.skinit:
        raise UsageError(f"kernel={year}: kernels of that time are launched by TXT only")
    if "dce" in given and platform != "skinit":
        raise UsageError("dce: only with platform=skinit; an ACM extends PCR 18 too, and what with is not known")
    details, authorities = map(int, _one_of(given, "pcrs", ("17,18", "20,19")).split(","))
    table = _table(given, year, platform)
    handed = _Handed(run, generation)
    walk = _Walk()
    for each in policy(generation, details, authorities) if table is None else (*table.policy, *table.config):
        _measure(walk, each, handed, table)
    if _one_of(given, "authority", ("no", "yes")) == "yes":
        for data in program.authorities(find_payload(run, run.payload)):
            walk.events.append(Event(authorities, EventType.EV_EFI_VARIABLE_AUTHORITY, digests(BANKS, data), data))
    if _one_of(given, "sections", ("no", "yes")) == "yes":
        for name, data in program.sections(find_payload(run, run.payload)):
            walk.add(details, name, digests(BANKS, name.encode() + b"\0"))
            walk.add(details, name, digests(BANKS, data))
    if generation.markers:
        zeroes = {each: bytes(each.size) for each in BANKS}
        walk.events.insert(0, Event(_LAUNCH_PCR, EventType.TXT_EVTYPE_SLAUNCH_START, zeroes, b""))
        walk.events.append(Event(_LAUNCH_PCR, EventType.TXT_EVTYPE_SLAUNCH_END, zeroes, b""))
    banks, launched = _launched(given["dce"]) if "dce" in given else (BANKS, [])
    events = [*launched, *(_in_banks(each, banks) for each in walk.events)]
    unknown = walk.unknown | (frozenset() if "dce" in given else _LAUNCH[platform])
    made = Measurements("tpm", banks, tuple(events), frozenset(unknown), dynamic=True, notes=tuple(walk.notes))
    payload = run.report.payload
    return Measured(payload.name, payload.version, payload.sha256, "drtm", (made,))


def _measure(walk: _Walk, entry: slrt.Measured, handed: _Handed, table: slrt.Table | None) -> None:
    """One entry of the policy, or of UEFI_CONFIG."""
    if entry.pcr not in DYNAMIC:
        raise UsageError(f'slrt: "{entry.text}" is for PCR {entry.pcr}, which a dynamic launch does not reset')
    match entry.entity:
        case Entity.SLRT if table is None:
            walk.leave_out(entry.pcr, entry.text, "the machine's own values are in it; give the table with slrt=FILE")
        case Entity.SLRT:
            assert table is not None
            walk.add(entry.pcr, entry.text, digests(BANKS, table.measured))
        case Entity.TXT_OS2MLE if table is None:
            walk.leave_out(entry.pcr, entry.text, "the machine's own values are in it")
        case Entity.TXT_OS2MLE | Entity.UNUSED:
            # Since there is a table, nothing of the TXT heap is measured.
            return
        case _:
            found = list(handed.of(entry))
            if not found and table is not None and entry.entity != Entity.SETUP_DATA:
                raise UsageError(f'slrt: it has "{entry.text}" measured, of which this run knows nothing')
            for each in found:
                walk.add(entry.pcr, entry.text, each)


class _Handed:
    """What the kernel was handed, by what a policy calls it."""

    def __init__(self, run: RunFolder, generation: Generation) -> None:
        self._pieces = pieces.load(run.path / pieces.HANDED)
        self._both = generation.both
        self._boot_params = _boot_params(run, self._pieces)

    def of(self, entry: slrt.Measured) -> Iterator[Digests]:
        """The digests of what an entry of a policy is about."""
        if entry.entity == Entity.BOOT_PARAMS:
            yield self._boot_params
        elif entry.entity == Entity.SETUP_DATA:
            yield from self._setup_data()
        else:
            # What a stub adds to UEFI_CONFIG is the memory map.
            name = _PIECES.get(entry.entity)
            if entry.entity == Entity.UNSPECIFIED and entry.text == "Measured UEFI memory map":
                name = "memory map"
            for each in self._pieces:
                if each.name == name:
                    if entry.size not in (0, each.size):
                        raise UsageError(
                            f'slrt: "{entry.text}" is about {entry.size} bytes, and this run has {each.size}'
                        )
                    yield each.digests

    def _setup_data(self) -> Iterator[Digests]:
        """A target that setup_data points to comes before what points there, and once stood for both."""
        target = False
        for each in self._pieces:
            if each.name == "setup_data target":
                target = True
                yield each.digests
            elif each.name == "setup_data":
                if self._both or not target:
                    yield each.digests
                target = False


def _boot_params(run: RunFolder, found: list[Piece]) -> Digests:
    """The digests of boot_params: the launched kernel says in them that it was, and measures them then."""
    handed = next((each for each in found if each.name == "boot_params"), None)
    if handed is None:
        raise UsageError(
            f"{run.path}: its kernel was handed no boot_params, and only such kernels are launched this way"
        )
    path = run.path / "handoff" / "boot_params.bin"
    page = bytearray(_read(path, x86.SIZE))
    if len(page) != x86.SIZE or digests(BANKS, bytes(page)) != handed.digests:
        raise UnreadableError(f"{path}: damaged")
    page[_LOADFLAGS] |= _SLAUNCH_FLAG
    return digests(BANKS, bytes(page))


def _table(given: Mapping[str, str], year: str, platform: str) -> slrt.Table | None:
    generation = GENERATIONS[year]
    if "slrt" not in given:
        if not generation.has_policy:
            raise UsageError(f"kernel={year}: what a boot loader of that time asks for is not known; give slrt=FILE")
        return None
    if generation.layout is None:
        raise UsageError(f"slrt: kernels of {year} know of no such table")
    if "pcrs" in given:
        raise UsageError("pcrs: the table says into which PCRs; leave one of both out")
    path = Path(given["slrt"])
    try:
        found = slrt.read(_read(path, slrt.MAX_SIZE), generation.layout)
    except slrt.SlrtError as why:
        raise UnreadableError(f"{path}: {why}") from None
    if found.architecture != {"txt": slrt.TXT, "skinit": slrt.SKINIT}[platform]:
        raise UsageError(f"{path}: a table of architecture {found.architecture}, which is not platform={platform}")
    return found


def _launched(text: str) -> tuple[tuple[Algorithm], list[Event]]:
    """The bank whose digests are given, and an event for each."""
    name, _, given = text.rpartition(":")
    algorithm = by_label(name or "sha256")
    try:
        found = [bytes.fromhex(each) for each in given.split(",")]
    except ValueError:
        found = []
    if algorithm is None or not found or any(len(each) != algorithm.size for each in found):
        raise UsageError(f"dce={text}: give digests, such as sha256:…")
    return (algorithm,), [Event(_LAUNCH_PCR, _KIND, {algorithm: each}, b"dynamic launch") for each in found]


def _in_banks(event: Event, banks: tuple[Algorithm, ...]) -> Event:
    return Event(event.index, event.type, {each: event.digests[each] for each in banks}, event.data)


def _read(path: Path, most: int) -> bytes:
    """Up to one byte more than *most*."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _one_of(given: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = given.get(name, allowed[0])
    if value not in allowed:
        raise UsageError(f"{name}={value}: give {' or '.join(allowed)}")
    return value
