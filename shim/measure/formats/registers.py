"""What registers hold at the end, and the TPM policy that asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm
from shim.errors import UsageError
from shim.measure.formats.common import any_of, labelled, pcrs_of, pretty, register_key, register_name
from shim.measure.formats.selection import all_known, pcr_digest, policy_digest, spelled
from shim.measure.ima import boot_aggregate

if TYPE_CHECKING:
    from shim.measure.formats.selection import Selection
    from shim.measure.model import Measured


def pcrs(measured: Measured) -> bytes:
    """One line for each register and bank, the PCRs as tpm2-tools spell them."""
    any_of(measured, "pcrs")
    lines = [f"# {_one_line(measured.name)}, sha256 {measured.sha256}, profile {_one_line(measured.profile)}"]
    for each in measured.sets:
        values = each.registers()
        for algorithm in each.algorithms:
            for index, value in values.items():
                name = str(index) if each.kind == "tpm" else register_key(each.kind, index)
                lines.append(f"{algorithm.label}:{name}={value[algorithm].hex()}")
        lines += [
            f"# {register_name(each.kind, index)}: not known, a part of it is the machine's own"
            for index in sorted(each.unknown)
        ]
        aggregates = labelled(boot_aggregate(measured, each))
        lines += [f"# boot_aggregate of IMA, {label}: {value}" for label, value in aggregates.items()]
        lines += [f"# {_one_line(note)}" for note in each.notes]
    return ("\n".join(lines) + "\n").encode()


def policy(measured: Measured, selection: Selection | None = None, session: Algorithm = Algorithm.SHA256) -> bytes:
    """For each bank what tpm2_policypcr computes over its known PCRs, or over those of *selection*, as JSON."""
    measurements = pcrs_of(measured, "policy")
    registers = measurements.registers()
    chosen = all_known(registers, measurements.algorithms) if selection is None else selection
    if not any(chosen.values()):
        raise UsageError("policy is about PCRs, and none is known")
    banks = []
    for algorithm, indices in chosen.items():
        alone = {algorithm: indices}
        absent = [index for index in indices if algorithm not in registers.get(index, {})]
        if absent:
            raise UsageError(f"policy asks for PCR {absent[0]} of {algorithm.label}, which is not known")
        banks.append(
            {
                "selection": spelled(alone),
                "pcr_digest": pcr_digest(registers, alone, session).hex(),
                "policy_digest": policy_digest(registers, alone, session).hex(),
            }
        )
    return pretty({"session": session.label, "banks": banks})


def _one_line(text: str) -> str:
    return " ".join(text.split())
