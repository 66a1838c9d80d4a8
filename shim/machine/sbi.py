"""What runs in M-mode below a RISC-V machine's firmware (RISC-V Supervisor Binary Interface, version 2.0).

It has the base extension and no other, and says so when it is probed: our firmware, which calls nothing, stands where
the others would be asked for. Registers of the machine read as zero, as QEMU's do.
"""

from __future__ import annotations

SUCCESS, NOT_SUPPORTED = 0, -2
BASE = 0x10
#: Version 2.0 of the specification.
SPECIFICATION = 2 << 24

#: Functions of the base extension (chapter 4) that have a fixed answer: specification, implementation and its version,
#: mvendorid, marchid, mimpid. No registered number is ours, so the implementation has one of those that are free.
_ANSWERS = {0: SPECIFICATION, 1: 0x4546_4953, 2: 1, 4: 0, 5: 0, 6: 0}
_PROBE = 3


def call(extension: int, function: int, argument: int) -> tuple[int, int]:
    """Error and value of a call."""
    if extension != BASE:
        return NOT_SUPPORTED, 0
    if function == _PROBE:
        return SUCCESS, int(argument == BASE)
    if function in _ANSWERS:
        return SUCCESS, _ANSWERS[function]
    return NOT_SUPPORTED, 0
