"""The event log of Confidential Containers' attestation agent (AAEL), in both its generations.

Each record is "domain operation content". Since 2025 it is a tagged event behind those of the CCEL, whose digest
covers its whole data; before, it was a line of a text whose first line told the register's value before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.events import Event, EventType, tagged_event, type_name
from efi_services.tcg.log import encode
from shim.errors import UsageError
from shim.measure.formats.common import any_of, canonical, confidential_of, labelled, register_name
from shim.measure.formats.fields import describe

if TYPE_CHECKING:
    from shim.measure.model import Measured, Measurements

TAG = 0x4141_454C
DOMAIN = "efi-shim"
#: Where the agent extends: RTMR3 or REM3, and PCR 17 for its text.
_REGISTER, _PCR = 4, 17


def tagged(measured: Measured) -> bytes:
    """The CCEL with what was measured as records behind it."""
    registers = confidential_of(measured, "aael")
    events = list(registers.events)
    for record in _records(measured, registers):
        data = tagged_event(TAG, record.encode())
        events.append(Event(_REGISTER, EventType.EV_EVENT_TAG, digests(registers.algorithms, data), data))
    return encode(events, registers.algorithms)


def text(measured: Measured) -> bytes:
    """The text of 2024: every line of it, the first too, is hashed and extended."""
    registers = any_of(measured, "aael-text")
    # The agent has SHA-2 only; a log is about one bank.
    banks = [each for each in registers.algorithms if each is not Algorithm.SHA1]
    if not banks:
        raise UsageError("aael-text is made with SHA-2, and there is no bank for it")
    index = _PCR if registers.kind == "tpm" else _REGISTER
    zero = b"\xff" if registers.kind == "tpm" and not registers.dynamic else b"\0"
    if index in registers.unknown:
        raise UsageError(f"aael-text begins with what {register_name(registers.kind, index)} holds: it is not known")
    before = registers.registers().get(index, {}).get(banks[0], zero * banks[0].size)
    lines = [f"INIT {banks[0].label}/{before.hex()}", *_records(measured, registers)]
    return ("\n".join(lines) + "\n").encode()


def _records(measured: Measured, registers: Measurements) -> list[str]:
    """The payload, then an operation for each event that extends, named after its type."""
    about = {"name": measured.name, "profile": measured.profile, "sha256": measured.sha256}
    if measured.version is not None:
        about["version"] = measured.version
    records = [f"{DOMAIN} Payload {canonical(about)}"]
    for event in registers.events:
        if event.extends:
            content: dict[str, object] = {
                "digests": labelled(event.digests),
                "register": register_name(registers.kind, event.index),
            }
            if said := describe(event):
                content["text"] = said
            records.append(f"{DOMAIN} {type_name(event.type)} {canonical(content)}")
    return records
