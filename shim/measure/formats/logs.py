"""Binary event logs as firmware leaves them (TCG PC Client PFP, section 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.log import encode, encode_old
from shim.errors import UsageError
from shim.measure.formats.common import confidential_of, pcrs_of

if TYPE_CHECKING:
    from shim.measure.model import Measured


def tcg2(measured: Measured) -> bytes:
    """The crypto-agile log of the PCRs."""
    pcrs = pcrs_of(measured, "tcg2")
    return encode(pcrs.events, pcrs.algorithms)


def tcg12(measured: Measured) -> bytes:
    """The log of the older form, with SHA-1 only."""
    pcrs = pcrs_of(measured, "tcg12")
    if Algorithm.SHA1 not in pcrs.algorithms:
        raise UsageError("tcg12 has SHA-1 digests, and the TPM has no bank for them")
    return encode_old(pcrs.events)


def ccel(measured: Measured, header_index: int = 0) -> bytes:
    """The log that the ACPI table CCEL points to; OVMF for TDX writes 1 as the header's *header_index*."""
    registers = confidential_of(measured, "ccel")
    return encode(registers.events, registers.algorithms, header_index=header_index)
