"""The conditions under which a dynamic launch may begin: what its preamble has to see to, judged one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.slaunch.dlme import Dlme
    from efi_services.slaunch.heap import Heap


@dataclass(frozen=True, slots=True)
class Preamble:
    """What there is at the moment of a launch.

    *why_no_dlme* says why there is none. *heap* is what the TXT heap tells, or what is wrong with it, or None without
    TXT. *protected* are the ranges of memory that devices are kept from, None where the chipset can't. *kept* are
    ranges that the launch needs beside the DLME. *locality* is that of the TPM which is held, *parked* says of each
    other processor whether it waits.
    """

    boot_services: bool
    dlme: Dlme | None
    why_no_dlme: str
    slrt: int
    heap: Heap | str | None
    protected: tuple[tuple[int, int], ...] | None
    kept: tuple[tuple[int, int], ...]
    locality: int | None
    parked: tuple[bool, ...]
    on_boot_processor: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule of the preamble came to: True, False, or None where there is nothing it is about."""

    rule: str
    met: bool | None
    sentence: str


def judge(preamble: Preamble) -> tuple[Condition, ...]:
    """Each condition by itself: none looks at whether another is met."""
    return tuple(Condition(rule, *judged(preamble)) for rule, judged in RULES.items())


_Judged = tuple[bool | None, str]


def _boot_services(preamble: Preamble) -> _Judged:
    """Boot services are gone: firmware could act behind the launched kernel's back."""
    if preamble.boot_services:
        return False, "ExitBootServices has not been called"
    return True, "ExitBootServices has returned"


def _dlme(preamble: Preamble) -> _Judged:
    """It has been described what is launched, and the header there still says so."""
    if preamble.dlme is None:
        return False, preamble.why_no_dlme
    return (
        True,
        f"{preamble.dlme.start:#x} to {preamble.dlme.end:#x} is measured, and begins at {preamble.dlme.entry:#x}",
    )


def _localities(preamble: Preamble) -> _Judged:
    """No locality of the TPM is held: the launch could not take its own."""
    if preamble.locality is not None:
        return False, f"locality {preamble.locality} is still held"
    return True, "no locality is held"


def _dma(preamble: Preamble) -> _Judged:
    """Devices are kept from what is launched, and from the tables that it trusts."""
    if preamble.protected is None:
        return False, "the platform can't keep devices from memory"
    wanted = [*preamble.kept, *([(preamble.dlme.base, preamble.dlme.end)] if preamble.dlme is not None else [])]
    for start, end in wanted:
        if not any(first <= start and end <= last for first, last in preamble.protected):
            return False, f"devices can reach {start:#x} to {end:#x}"
    spans = ", ".join(f"{start:#x} to {end:#x}" for start, end in preamble.protected)
    return True, f"devices can't reach {spans}"


def _heap(preamble: Preamble) -> _Judged:
    """The TXT heap is there, and its tables tell of this launch."""
    heap, dlme = preamble.heap, preamble.dlme
    if heap is None:
        return None, "there is none without TXT"
    if isinstance(heap, str):
        return False, heap
    if heap.slrt != preamble.slrt:
        return False, f"it says that the SLR table is at {heap.slrt:#x}, where it is not"
    if dlme is not None and (heap.mle_size, heap.mle_header) != (dlme.size, dlme.header_offset):
        return False, f"it tells of an MLE of {heap.mle_size} bytes with a header at {heap.mle_header:#x}"
    return True, f"its tables tell of the SLR table at {heap.slrt:#x} and an MLE of {heap.mle_size} bytes"


def _processors(preamble: Preamble) -> _Judged:
    """All other processors wait to be woken."""
    running = [number for number, parked in enumerate(preamble.parked, 1) if not parked]
    if running:
        return False, f"processor {', '.join(map(str, running))} runs"
    return True, f"{len(preamble.parked)} others wait" if preamble.parked else "there is no other"


def _boot_processor(preamble: Preamble) -> _Judged:
    """The launch runs on the boot processor."""
    return preamble.on_boot_processor, f"this is {'the' if preamble.on_boot_processor else 'not the'} boot processor"


RULES: dict[str, Callable[[Preamble], _Judged]] = {
    "launch-boot-services": _boot_services,
    "launch-dlme": _dlme,
    "launch-tpm-localities": _localities,
    "launch-dma": _dma,
    "launch-txt-heap": _heap,
    "launch-processors": _processors,
    "launch-boot-processor": _boot_processor,
}
