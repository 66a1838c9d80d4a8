"""What the model of a TPM says of itself: TPM2_GetCapability (TPM 2.0 Library, part 3, section 30.2)."""

from __future__ import annotations

import struct
from bisect import bisect_left

from efi_services.tcg import commands
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.commands import Code
from efi_services.tcg.registers import PCRS

MANUFACTURER = b"SHIM"
_ALL_PCRS = (1 << PCRS) - 1
#: TPM_PT: properties by their number (part 2, section 6.13).
_PROPERTIES = {
    0x100: int.from_bytes(b"2.0\0", "big"),  # family
    0x101: 0,  # level
    0x102: 159,  # revision 1.59
    0x103: 312,  # of this day
    0x104: 2019,  # of this year
    0x105: int.from_bytes(MANUFACTURER, "big"),
    0x106: int.from_bytes(b"efi-", "big"),
    0x107: int.from_bytes(b"shim", "big"),
    0x108: 0,
    0x109: 0,
    0x10A: 1,  # the vendor's type
    0x10B: 1,  # firmware version
    0x10C: 0,
    0x10D: 1024,  # input buffer
    0x112: PCRS,
    0x113: 3,  # least bytes of a PCR selection
    0x11E: commands.MAX_BYTES,
    0x11F: commands.MAX_BYTES,
    0x120: 64,  # largest digest
}
_HASH = 1 << 2
#: TPMA_CC: commands whose handles are in bits 25 to 27.
_HANDLE_COUNTS = {
    Code.PCR_EXTEND: 1,
    Code.PCR_EVENT: 1,
    Code.PCR_RESET: 1,
    Code.SEQUENCE_UPDATE: 1,
    Code.SEQUENCE_COMPLETE: 1,
    Code.EVENT_SEQUENCE_COMPLETE: 2,
}


def capability(kind: int, first: int, count: int, active: tuple[Algorithm, ...]) -> bytes | None:
    """TPMS_CAPABILITY_DATA behind moreData: at most *count* values from *first* on; None where there is no such."""
    match kind:
        case commands.CAP_ALGORITHMS:
            return _part(
                kind, first, count, {each.number: struct.pack(">HI", each.number, _HASH) for each in Algorithm}
            )
        case commands.CAP_HANDLES:
            # Of all kinds of handles there are only PCRs; the upper byte tells the kind.
            pcrs = {each: struct.pack(">I", each) for each in range(PCRS)} if first >> 24 == 0 else {}
            return _part(kind, first, count, pcrs)
        case commands.CAP_COMMANDS:
            values = {each: each | _HANDLE_COUNTS.get(each, 0) << 25 for each in sorted(Code)}
            return _part(kind, first, count, {int(key): struct.pack(">I", value) for key, value in values.items()})
        case commands.CAP_PCRS if first == 0:
            banks = [(each, _ALL_PCRS if each in active else 0) for each in Algorithm]
            return struct.pack(">BI", 0, kind) + commands.pcr_selections(banks)
        case commands.CAP_PROPERTIES:
            known = {key: struct.pack(">II", key, value) for key, value in _PROPERTIES.items()}
            return _part(kind, first, count, known)
        case _:
            return None


def _part(kind: int, first: int, count: int, values: dict[int, bytes]) -> bytes:
    keys = sorted(values)
    at = bisect_left(keys, first)
    some = keys[at : at + count]
    more = at + len(some) < len(keys)
    return struct.pack(">BII", more, kind, len(some)) + b"".join(values[each] for each in some)
