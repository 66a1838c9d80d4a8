"""Everything that can be told about a payload without running it, as JSON-able values.

Addresses are "0x…" strings (RVAs count from the image base), sizes and counts are numbers of bytes or things. Same
file, same description: nothing here depends on where or when it is made.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from payloads import uki
from payloads.errors import NotRunnable
from payloads.model import (
    Arm32ZImageHeader,
    Arm64ImageHeader,
    BzImageHeader,
    Kind,
    RiscvImageHeader,
    ZbootHeader,
)
from payloads.pe import authenticode, compatible_entries
from payloads.sbat import read_sbat
from payloads.signatures import read_signatures

if TYPE_CHECKING:
    from payloads.model import LinuxHeader, Payload, Section

_SUBSYSTEMS = {10: "EFI application", 11: "EFI boot service driver", 12: "EFI runtime driver"}
_UKI_TEXTS = (".osrel", ".cmdline", ".uname", ".profile")


def describe(payload: Payload) -> dict[str, object]:
    """Describe a payload; hostile certificates and texts are said to be so, and never raise."""
    description: dict[str, object] = {
        "name": payload.name,
        "kind": str(payload.kind),
        "machine": str(payload.machine),
        "version": payload.version,
        "size": payload.size,
        "digests": _digests(payload),
        "image": _image(payload),
        "sections": [_section(section) for section in payload.image.sections],
        "linux": None if payload.linux is None else _linux(payload.linux),
    }
    if payload.kind is Kind.UKI:
        description["uki"] = _uki(payload)
    description["signatures"] = _signatures(payload.data)
    description["sbat"] = [asdict(row) for row in read_sbat(payload.data, payload.image)]
    return description


def _digests(payload: Payload) -> dict[str, object]:
    digests: dict[str, object] = {"sha256": payload.sha256}
    for algorithm in ("sha256", "sha384"):
        try:
            digests[f"authenticode_{algorithm}"] = authenticode(payload.data, algorithm).hex()
        except NotRunnable:
            digests[f"authenticode_{algorithm}"] = None
    return digests


def _image(payload: Payload) -> dict[str, object]:
    image = payload.image
    compatible = compatible_entries(payload.data, image)
    return {
        "subsystem": _SUBSYSTEMS[image.subsystem],
        "entry_point": hex(image.entry_point),
        "compatible_entry_points": {str(machine): hex(entry) for machine, entry in compatible.items()},
        "image_base": hex(image.image_base),
        "size_of_image": image.size_of_image,
        "size_of_headers": image.size_of_headers,
        "section_alignment": image.section_alignment,
        "image_version": "{}.{}".format(*image.image_version),
        "nx_compat": image.nx_compat,
        "relocations": len(image.relocations),
        "relocations_stripped": image.relocations_stripped,
    }


def _section(section: Section) -> dict[str, object]:
    flags = (("r", section.readable), ("w", section.writable), ("x", section.executable))
    return {
        "name": section.name,
        "address": hex(section.virtual_address),
        "virtual_size": section.virtual_size,
        "file_offset": section.raw_offset,
        "raw_size": section.raw_size,
        "permissions": "".join(letter if flag else "-" for letter, flag in flags),
        "discardable": section.discardable,
    }


def _linux(header: LinuxHeader) -> dict[str, object]:
    match header:
        case BzImageHeader():
            return {
                "boot_protocol": header.protocol,
                "version": header.version,
                "xloadflags": list(header.xloadflag_names),
                "handover_offset": None if header.handover_offset is None else hex(header.handover_offset),
                "setup_sectors": header.setup_sects,
                "payload_offset": hex(header.payload_offset),
                "payload_length": header.payload_length,
                "compression": header.compression,
                "init_size": header.init_size,
                "preferred_address": hex(header.pref_address),
                "relocatable": header.relocatable,
                "kernel_alignment": header.kernel_alignment,
            }
        case Arm64ImageHeader() | RiscvImageHeader():
            entry = header.declared_kernel_entry
            return {
                "text_offset": hex(header.text_offset),
                "image_size": header.image_size,
                "flags": list(header.flag_names),
                "kernel_entry": None if entry is None else hex(entry),
                **({"header_version": header.header_version} if isinstance(header, RiscvImageHeader) else {}),
            }
        case ZbootHeader():
            return {
                "payload_offset": hex(header.payload_offset),
                "payload_size": header.payload_size,
                "compression": header.compression,
            }
        case Arm32ZImageHeader():
            return {
                "start": hex(header.start),
                "end": hex(header.end),
                "byte_order": "little-endian" if header.little_endian else "big-endian",
            }


def _uki(payload: Payload) -> dict[str, object]:
    """What rides in a unified kernel image: the texts of the profile that boots by default, and all profiles."""
    found = uki.profiles(payload.data, payload.image)
    described: dict[str, object] = {
        section.name[1:]: uki.text(payload.data, section)
        for section in sorted(found[0].sections, key=lambda each: each.number)
        if section.name in _UKI_TEXTS
    }
    if payload.image.section(".profile") is not None:
        described["profiles"] = [
            {
                "number": each.number,
                "id": each.id,
                "title": each.title,
                "sections": " ".join(section.name for section in each.sections),
            }
            for each in found
        ]
    return described


def _signatures(data: bytes) -> list[dict[str, object]]:
    try:
        signatures = read_signatures(data)
    except NotRunnable as error:
        return [{"error": str(error)}]
    return [
        {
            "digest_algorithm": signature.digest_algorithm,
            "digest": signature.digest,
            "digest_matches": signature.digest_matches,
            "signers": [asdict(signer) for signer in signature.signers],
            "certificates": list(signature.certificates),
        }
        for signature in signatures
    ]
