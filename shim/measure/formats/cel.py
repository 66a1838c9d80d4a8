"""The Canonical Event Log in its three encodings (TCG CEL 1.1, sections 4 and 5).

Records are counted from 0 for each register, as version 1.1 has it. Registers of confidential computing have the type
108 that go-eventlog gives them, and the name ccmr in JSON, because the specification has none for them. An event that
extends nothing has no digests: some readers extend whatever digest there is.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING

import cbor2

from efi_services.tcg.events import EventType
from shim.measure.formats.common import any_of, canonical, hash_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from efi_services.tcg.events import Event
    from shim.measure.model import Measured, Measurements

RECORD_NUMBER, PCR, NV_INDEX, DIGESTS = 0, 1, 2, 3
#: What a record is about, where it is one of confidential computing.
CC_REGISTER = 108
#: The types of content that have a name.
CONTENTS = {"cel": 4, "pcclient_std": 5, "ima_template": 7, "ima_tlv": 8, "systemd": 9}
PC_CLIENT = CONTENTS["pcclient_std"]
#: In CBOR, the keys of a record's content type and content.
CONTENT_TYPE, CONTENT = 9, 10
EVENT_TYPE, EVENT_DATA = 0, 1


def cel_json(measured: Measured) -> bytes:
    """CEL-JSON, a record in each line."""
    measurements = any_of(measured, "cel-json")
    key = "pcr" if measurements.kind == "tpm" else "ccmr"
    lines = [
        canonical(
            {
                "recnum": number,
                key: event.index,
                "digests": hash_list(event),
                "content_type": "pcclient_std",
                "content": {"event_type": json_type(event.type), "event_data": event.data.hex()},
            }
        )
        for number, event in _numbered(measurements)
    ]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def cel_cbor(measured: Measured) -> bytes:
    """CEL-CBOR."""
    measurements = any_of(measured, "cel-cbor")
    records = [
        {
            RECORD_NUMBER: number,
            _about(measurements): event.index,
            DIGESTS: [{EVENT_TYPE: number, EVENT_DATA: digest} for number, digest in _digests(event)],
            CONTENT_TYPE: PC_CLIENT,
            CONTENT: {EVENT_TYPE: event.type, EVENT_DATA: event.data},
        }
        for number, event in _numbered(measurements)
    ]
    return cbor2.dumps(records)


def cel_tlv(measured: Measured) -> bytes:
    """CEL-TLV, one record after the other."""
    measurements = any_of(measured, "cel-tlv")
    return b"".join(
        _tlv(RECORD_NUMBER, number.to_bytes(8, "big"))
        + _tlv(_about(measurements), bytes([event.index]))
        + _tlv(DIGESTS, b"".join(_tlv(algorithm, digest) for algorithm, digest in _digests(event)))
        + _tlv(PC_CLIENT, _tlv(EVENT_TYPE, event.type.to_bytes(4, "big")) + _tlv(EVENT_DATA, event.data))
        for number, event in _numbered(measurements)
    )


def json_type(number: int) -> str | int:
    """An event type as CEL-JSON has it: its name, or its number where it has none."""
    try:
        return EventType(number).name
    except ValueError:
        return number


def _about(measurements: Measurements) -> int:
    return PCR if measurements.kind == "tpm" else CC_REGISTER


def _numbered(measurements: Measurements) -> Iterator[tuple[int, Event]]:
    count: Counter[int] = Counter()
    for event in measurements.events:
        yield count[event.index], event
        count[event.index] += 1


def _digests(event: Event) -> list[tuple[int, bytes]]:
    """Digests by TPM_ALG_ID, whose lower byte is the type in CEL-TLV."""
    if not event.extends:
        return []
    return sorted((each.number, digest) for each, digest in event.digests.items())


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack(">BI", kind, len(value)) + value
