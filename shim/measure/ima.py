"""What Linux's IMA will measure first: boot_aggregate, a digest of the PCRs that the boot was measured into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.measure.model import Measured, Measurements


def boot_aggregate(measured: Measured, measurements: Measurements) -> dict[Algorithm, bytes]:
    """The value for each bank, over PCR 0 to 9, by SHA-1 over 0 to 7 (security/integrity/ima/ima_crypto.c).

    There is none where a PCR is not known, and none of a profile that tells only a part of the boot.
    """
    if measured.profile != "firmware" or measurements.kind != "tpm" or measurements.unknown & set(range(10)):
        return {}
    registers = measurements.registers()
    return {each: aggregate(registers, each) for each in measurements.algorithms}


def aggregate(registers: Mapping[int, Mapping[Algorithm, bytes]], bank: Algorithm) -> bytes:
    """The digest over the PCRs that it is about; one that is not among *registers* holds zeroes."""
    pcrs = range(8 if bank is Algorithm.SHA1 else 10)
    return bank.digest(*(registers.get(index, {}).get(bank, bytes(bank.size)) for index in pcrs))
