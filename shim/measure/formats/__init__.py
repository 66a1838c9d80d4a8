"""The forms in which measurements are written, by the name that `measure --format` takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shim.errors import UsageError
from shim.measure.formats import aael, cel, everything, inputs, logs, reference, registers, systemd, tsm

if TYPE_CHECKING:
    from collections.abc import Callable

    from shim.measure.model import Measured


@dataclass(frozen=True, slots=True)
class Format:
    """A form of measurements.

    *write* gives the contents of a file, or where *tree* says so those of a folder's files by their paths; it raises
    UsageError where these measurements can't be written in this form. *silent* forms leave out registers that are not
    known, and have no place to say so.
    """

    name: str
    doc: str
    write: Callable[[Measured], bytes | dict[str, bytes]]
    tree: bool = False
    silent: bool = False


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format("tcg2", "The TPM's binary event log, crypto-agile.", logs.tcg2),
        Format("tcg12", "The TPM's binary event log of the older form, with SHA-1 only.", logs.tcg12),
        Format("ccel", "The binary event log of confidential computing, which the ACPI table CCEL names.", logs.ccel),
        Format("cel-json", "The Canonical Event Log as JSON.", cel.cel_json),
        Format("cel-cbor", "The Canonical Event Log as CBOR.", cel.cel_cbor),
        Format("cel-tlv", "The Canonical Event Log as nested types, lengths and values.", cel.cel_tlv),
        Format("systemd", "The log that systemd's userspace keeps, a sequence of JSON records.", systemd.userspace_log),
        Format("aael", "The CCEL with records of Confidential Containers' attestation agent behind it.", aael.tagged),
        Format("aael-text", "The attestation agent's event log as it was in 2024, a text.", aael.text),
        Format("tsm", "A folder for each register: its digest, algorithm, and log as text.", tsm.tree, tree=True),
        Format("pcrs", "What each register holds, one line for each bank.", registers.pcrs),
        Format("pcrlock", "Component files for systemd-pcrlock.", systemd.components, tree=True, silent=True),
        Format("rvps", "Reference values in a message for Trustee.", reference.rvps, silent=True),
        Format("corim", "Reference values as an unsigned CoRIM.", reference.corim, silent=True),
        Format(
            "policy", "The digest of a TPM policy that asks for the PCRs, for each bank.", registers.policy, silent=True
        ),
        Format(
            "inputs",
            "What the stub took, with digests, one in a line; its own digest compares two runs.",
            inputs.inputs,
        ),
        Format("json", "All events, what they say, and the registers, as JSON.", everything.everything),
    )
}


def write_all(measured: Measured) -> tuple[dict[str, bytes], dict[str, str]]:
    """Each form that these measurements can be written in, and why the others can't.

    Returns:
        The contents by path: a form's name is that of its file, or of its folder; and the reasons by the form's name.
    """
    made: dict[str, bytes] = {}
    refused: dict[str, str] = {}
    for name, form in FORMATS.items():
        try:
            contents = form.write(measured)
        except UsageError as why:
            refused[name] = str(why)
            continue
        if isinstance(contents, bytes):
            made[name] = contents
        else:
            made |= {f"{name}/{path}": data for path, data in contents.items()}
    return made, refused
