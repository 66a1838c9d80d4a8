"""What an Arm exception means, in either state: Unicorn numbers them alike, and the syndromes have the same form.

Sections are those of the Arm Architecture Reference Manuals, DDI 0487 (D19.2.37) and DDI 0406 (B3.13.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.machine.architecture import Trap

if TYPE_CHECKING:
    from shim.engine import Engine

UNDEFINED = "undefined instruction"
_EXCEPTIONS = {
    1: UNDEFINED,
    2: "supervisor call",
    7: "breakpoint",
    11: "hypervisor call",
    13: "secure monitor call",
}
_FETCH, _DATA = 3, 4
#: Of a syndrome: the status code, and that it was a write.
_STATUS, _WRITE = 0x3F, 1 << 6
_ALIGNMENT = 0x21
#: Translation, access flag and permission faults, whatever the level.
_PAGE_FAULTS = range(4, 16)


def trap(engine: Engine, number: int, fetch_abort: str) -> Trap:
    """An abort tells of an access, all others only of themselves.

    Args:
        engine: where it happened.
        number: Unicorn's of the exception.
        fetch_abort: what this state calls an abort of an instruction fetch.
    """
    if number not in (_FETCH, _DATA):
        return Trap(_EXCEPTIONS.get(number, f"exception {number}"))
    syndrome, address = engine.syndrome()
    name = fetch_abort if number == _FETCH else "data abort"
    status = syndrome & _STATUS
    if status not in _PAGE_FAULTS:
        reason = "alignment" if status == _ALIGNMENT else f"status {status:#x}"
        return Trap(f"{name} ({reason}) at {address:#x}")
    return Trap(name, address, number == _DATA and syndrome & _WRITE != 0, number == _FETCH)
