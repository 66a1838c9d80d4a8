"""All that is known of what was measured, as one JSON object.

* schema: efi-shim/measured/1
* name, version, sha256, profile: of the payload, and how the measurements came about
* sets: [{kind, algorithms, dynamic, unknown, given, notes, events, registers, boot_aggregate}], where kind is tpm, tdx,
  cca or exact, unknown has the registers whose value these events alone don't tell, given those whose value is the
  platform's word, and notes say in words what is not known; exact has inputs_sha256 too, the digest of the form inputs
* events: [{number, index, register, type, type_number, extends, digests, data, fields}], where data is in hexadecimal,
  and fields is what it says, all as text
* registers: [{index, register, values}], those that were extended and are known
* boot_aggregate: what IMA will measure first, by algorithm; empty where a PCR of it is not known
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.events import type_name
from shim.measure.formats.common import labelled, pretty, register_name
from shim.measure.formats.fields import fields
from shim.measure.formats.inputs import digest_of
from shim.measure.ima import boot_aggregate

if TYPE_CHECKING:
    from efi_services.tcg.events import Event
    from shim.measure.model import Measured, Measurements

SCHEMA = "efi-shim/measured/1"


def everything(measured: Measured) -> bytes:
    """The object, indented; the keys are in the module's description."""
    return pretty(
        {
            "schema": SCHEMA,
            "name": measured.name,
            "version": measured.version,
            "sha256": measured.sha256,
            "profile": measured.profile,
            "sets": [_set(measured, each) for each in measured.sets],
        }
    )


def _set(measured: Measured, measurements: Measurements) -> dict[str, object]:
    return {
        "kind": measurements.kind,
        "algorithms": [each.label for each in measurements.algorithms],
        "dynamic": measurements.dynamic,
        "unknown": sorted(measurements.unknown),
        "given": sorted(measurements.given),
        "notes": list(measurements.notes),
        **({"inputs_sha256": digest_of(measurements).hex()} if measurements.kind == "exact" else {}),
        "events": [_event(measurements.kind, number, each) for number, each in enumerate(measurements.events)],
        "registers": [
            {"index": index, "register": register_name(measurements.kind, index), "values": labelled(values)}
            for index, values in measurements.registers().items()
        ],
        "boot_aggregate": labelled(boot_aggregate(measured, measurements)),
    }


def _event(kind: str, number: int, event: Event) -> dict[str, object]:
    return {
        "number": number,
        "index": event.index,
        "register": register_name(kind, event.index),
        "type": type_name(event.type),
        "type_number": event.type,
        "extends": event.extends,
        "digests": labelled(event.digests),
        "data": event.data.hex(),
        "fields": fields(event),
    }
