"""Event logs from elsewhere: what form they have is told by their content.

They are read with suspicion. A log that ends early, contradicts itself or can't be told is refused with the event and
its offset; memory stays within a small multiple of the largest file that is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from efi_services.tcg.events import EventType
from efi_services.tcg.log import LogError, decode
from efi_services.tcg.registers import PCRS, replay
from shim.errors import UnreadableError
from shim.measure.formats.cel import CC_REGISTER, NV_INDEX, PCR
from shim.measure.formats.cel_reader import cbor_records, json_records, sequence_records, tlv_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.events import Event
    from shim.measure.formats.cel_reader import Record

#: More than a hundred times the log area of any firmware.
MAX_SIZE = 64 << 20

_CEL: dict[str, Callable[[bytes], Iterator[Record]]] = {
    "cel-json": json_records,
    "systemd": sequence_records,
    "cel-cbor": cbor_records,
    "cel-tlv": tlv_records,
}
_RECORD_NUMBER_SIZES = (4, 8)


@dataclass(frozen=True, slots=True)
class ReadLog:
    """A log that was read.

    *form* is the name of a format that writes such logs; binary logs of confidential computing are tcg2 too, because
    nothing in them tells. *confidential* is None there, unless the header's odd index gives it away.
    """

    form: str
    events: tuple[Event, ...]
    algorithms: tuple[Algorithm, ...]
    header_index: int = 0
    confidential: bool | None = None

    def registers(self, *, dynamic: bool = False) -> dict[int, dict[Algorithm, bytes]]:
        """What its events come to."""
        return replay(self.events, self.algorithms, dynamic=dynamic)


def read(data: bytes, form: str | None = None) -> ReadLog:
    """Read a log of *form*, or of the form that its content shows.

    Raises:
        LogError: something is wrong at an event.
        UnreadableError: it is no log that is known, or larger than one can be.
    """
    if len(data) > MAX_SIZE:
        raise UnreadableError(f"{len(data)} bytes are too many for an event log: {MAX_SIZE} are accepted")
    form = form or detect(data)
    if form in _CEL:
        return _of_records(form, _CEL[form](data))
    if form in ("tcg2", "tcg12", "ccel"):
        return _binary(data)
    raise UnreadableError("it is no event log of a known form" if form is None else f"logs of form {form} aren't read")


def detect(data: bytes) -> str | None:
    """The form of a log by its first bytes; None where none begins so."""
    text = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"["):
        return "cel-json"
    if data.startswith(b"\x1e"):
        return "systemd"
    if data[:1] and data[0] >> 5 == 4:
        return "cel-cbor"
    size = int.from_bytes(data[1:5], "big")
    # A record number, and then a register: as a binary log this would be an event of PCR 0 with an unlikely digest.
    if data[:1] == b"\0" and size in _RECORD_NUMBER_SIZES and data[5 + size : 6 + size] in (b"\1", b"\2", b"\x6c"):
        after = int.from_bytes(data[6 + size : 10 + size], "big")
        if after in (1, 4):
            return "cel-tlv"
    if len(data) >= 32 and int.from_bytes(data[:4], "little") < PCRS:
        return "tcg2" if data[32:47] == b"Spec ID Event03" else "tcg12"
    return None


def _binary(data: bytes) -> ReadLog:
    log = decode(data)
    if not log.algorithms:
        raise LogError("there is no event by an algorithm that is known", 0, 0)
    if log.header_index not in (0, 1):
        raise LogError(f"the header is of register {log.header_index}", 0, 0)
    for number, event in enumerate(log.events):
        _check_index(event, number, None)
    form = "tcg2" if log.crypto_agile else "tcg12"
    return ReadLog(form, log.events, log.algorithms, log.header_index, True if log.header_index else None)


def _of_records(form: str, records: Iterator[Record]) -> ReadLog:
    events: list[Event] = []
    algorithms: dict[Algorithm, None] = {}
    about: set[int] = set()
    last: dict[int, int] = {}
    for number, record in enumerate(records):
        event = record.event
        _check_index(event, number, record.offset)
        if record.about == NV_INDEX:
            raise LogError("it is about an NV index, not a register", record.offset, number)
        about.add(record.about)
        if len(about) > 1:
            raise LogError("it is about another kind of register than those before", record.offset, number)
        # Counted for each register, or over the whole log: in both they only grow.
        if record.number is not None and record.number <= last.get(event.index, -1):
            raise LogError(f"its number {record.number} was there before", record.offset, number)
        if record.number is not None:
            last[event.index] = record.number
        if event.extends and not event.digests:
            raise LogError("it has no digest by an algorithm that is known", record.offset, number)
        algorithms |= dict.fromkeys(event.digests)
        events.append(event)
    if not events:
        raise LogError("there is no event", 0, 0)
    confidential = about == {CC_REGISTER} if about <= {PCR, CC_REGISTER} else None
    return ReadLog(form, tuple(events), tuple(sorted(algorithms, key=_order)), confidential=confidential)


def _check_index(event: Event, number: int, offset: int | None) -> None:
    # EV_NO_ACTION may name what is no register.
    if event.type != EventType.EV_NO_ACTION and event.index >= PCRS:
        raise LogError(f"there is no register {event.index}", offset or 0, number)


def _order(algorithm: Algorithm) -> int:
    return algorithm.number
