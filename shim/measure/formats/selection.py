"""Selected PCRs, and the digest of their values, as policies and quotes take them (TPM 2.0 part 2, section 10.9)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.registers import PCRS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: PCRs by bank, the banks in the order in which they are selected.
Selection = dict[Algorithm, tuple[int, ...]]
#: What registers hold, by index and bank.
Registers = dict[int, dict[Algorithm, bytes]]

_BITMAP = PCRS // 8
_POLICY_PCR = 0x0000_017F


def all_known(registers: Registers, algorithms: Sequence[Algorithm]) -> Selection:
    """All PCRs whose value is known, of each bank."""
    return {each: tuple(sorted(index for index in registers if index < PCRS)) for each in algorithms}


def spelled(selection: Selection) -> str:
    """As tpm2-tools spell it: sha1:4+sha256:4,9."""
    return "+".join(f"{each.label}:{','.join(map(str, sorted(pcrs)))}" for each, pcrs in selection.items())


def encode_selection(selection: Selection) -> bytes:
    """TPML_PCR_SELECTION."""
    parts = [struct.pack(">I", len(selection))]
    for algorithm, pcrs in selection.items():
        bitmap = sum(1 << index for index in set(pcrs)).to_bytes(_BITMAP, "little")
        parts.append(struct.pack(">HB", algorithm.number, _BITMAP) + bitmap)
    return b"".join(parts)


def pcr_digest(registers: Mapping[int, Mapping[Algorithm, bytes]], selection: Selection, by: Algorithm) -> bytes:
    """The digest of the selected PCRs' values, bank by bank; a KeyError where one is not among *registers*."""
    return by.digest(*(registers[index][bank] for bank, pcrs in selection.items() for index in sorted(set(pcrs))))


def policy_digest(registers: Registers, selection: Selection, session: Algorithm = Algorithm.SHA256) -> bytes:
    """What TPM2_PolicyPCR makes of a new session (TPM 2.0 part 3, section 23.7)."""
    return session.digest(
        bytes(session.size),
        struct.pack(">I", _POLICY_PCR),
        encode_selection(selection),
        pcr_digest(registers, selection, session),
    )
