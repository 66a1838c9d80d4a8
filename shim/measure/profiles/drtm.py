"""A dynamic launch as TrenchBoot does it: what the launched kernel measures of what it was handed.

The policy is GRUB's default one; the kernel walks it and extends PCR 17 and 18 from locality 2. What the launch itself
puts there before, an ACM or SKL, is not part of a run: those registers' values are known only if the option dce gives
it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm, by_label, digests
from efi_services.tcg.events import Event, EventType
from shim.errors import UnreadableError, UsageError
from shim.handoff import x86
from shim.measure import pieces, slrt
from shim.measure.model import Measured, Measurements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from efi_services.tcg.piece import Piece
    from shim.trace.folder import RunFolder

OPTIONS = {
    "layout": f"of the SLR table: {' or '.join(slrt.LAYOUTS)}",
    "platform": "txt or skinit",
    "pcrs": "17,18, or 20,19 as older kernels could be built",
    "markers": "yes: the events that bracket an older kernel's",
    "dce": "with skinit, what PCR 17 was extended with before the kernel began, such as sha256:A,B,C: the digests of"
    " SKL, of the entry's offset and of the kernel; without them, the values stay unknown",
}
BANKS = (Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384, Algorithm.SHA512)
#: Which piece is measured with which text, in the order of the policy.
_MEASURED = (
    ("setup_data", "Measured Kernel setup_data"),
    ("command line", "Measured Kernel command line"),
    ("memory map", "Measured EFI memory map"),
)
#: Documentation/arch/x86/boot.rst: loadflags, and in it the flag of a secure launch.
_LOADFLAGS, _SLAUNCH_FLAG = 0x211, 1 << 2
#: What a dynamic launch itself extends; older kernels hard-code it in the markers too.
_LAUNCH_PCR = 17


def build(run: RunFolder, given: Mapping[str, str]) -> Measured:
    """The events of the launch, on top of nothing: PCRs 17 to 22 begin anew."""
    layout = _one_of(given, "layout", slrt.LAYOUTS)
    platform = _one_of(given, "platform", ("txt", "skinit"))
    details, authorities = map(int, _one_of(given, "pcrs", ("17,18", "20,19")).split(","))
    if "dce" in given and platform != "skinit":
        raise UsageError("dce: only with platform=skinit; an ACM extends PCR 18 too, and what with is not known")
    banks, launched = _launched(given["dce"]) if "dce" in given else (BANKS, [])
    table = slrt.intel_info(0, 0, 0, layout) if platform == "txt" else None
    walked = _walk(run, table, details, authorities)
    if _one_of(given, "markers", ("no", "yes")) == "yes":
        zeroes = {each: bytes(each.size) for each in BANKS}
        walked.insert(0, Event(_LAUNCH_PCR, EventType.TXT_EVTYPE_SLAUNCH_START, zeroes, b""))
        walked.append(Event(_LAUNCH_PCR, EventType.TXT_EVTYPE_SLAUNCH_END, zeroes, b""))
    events = [*launched, *(replace(each, digests={bank: each.digests[bank] for bank in banks}) for each in walked)]
    unknown = frozenset() if "dce" in given else frozenset({details, authorities})
    payload = run.report.payload
    return Measured(
        payload.name,
        payload.version,
        payload.sha256,
        "drtm",
        (Measurements("tpm", banks, tuple(events), unknown, dynamic=True),),
    )


def _walk(run: RunFolder, table: bytes | None, details: int, authorities: int) -> list[Event]:
    """The policy's entries in order, as the kernel measures them; *table* is the part of the SLR table that counts."""
    found = pieces.load(run.path / pieces.HANDED)
    handed = next((each for each in found if each.name == "boot_params"), None)
    if handed is None:
        raise UsageError(
            f"{run.path}: its kernel was handed no boot_params, and only such kernels are launched this way"
        )
    events = []
    if table is not None:
        # What lies elsewhere in each boot is measured as zero.
        events.append(_event(authorities, "Measured SLR Table", digests(BANKS, table)))
    events.append(_event(authorities, "Measured boot parameters", _boot_params(run, handed)))
    for name, text in _MEASURED:
        # A target that setup_data points to is measured before what points there, under the same text.
        events += [_event(authorities, text, each.digests) for each in found if each.name in (name, f"{name} target")]
    events += [_event(details, "Measured Kernel initrd", each.digests) for each in found if each.name == "initrd"]
    return events


def _boot_params(run: RunFolder, handed: Piece) -> dict[Algorithm, bytes]:
    """The digests of boot_params: the launched kernel says in them that it was, and measures them then."""
    path = run.path / "handoff" / "boot_params.bin"
    try:
        with path.open("rb") as file:
            page = bytearray(file.read(x86.SIZE + 1))
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    if len(page) != x86.SIZE or digests(BANKS, bytes(page)) != handed.digests:
        raise UnreadableError(f"{path}: damaged")
    page[_LOADFLAGS] |= _SLAUNCH_FLAG
    return digests(BANKS, bytes(page))


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
    kind = EventType.TXT_EVTYPE_SLAUNCH
    return (algorithm,), [Event(_LAUNCH_PCR, kind, {algorithm: each}, b"dynamic launch") for each in found]


def _event(pcr: int, text: str, found: dict[Algorithm, bytes]) -> Event:
    return Event(pcr, EventType.TXT_EVTYPE_SLAUNCH, {each: found[each] for each in BANKS}, text.encode("ascii"))


def _one_of(given: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    value = given.get(name, allowed[0])
    if value not in allowed:
        raise UsageError(f"{name}={value}: give {' or '.join(allowed)}")
    return value
