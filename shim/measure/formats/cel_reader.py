"""The records of a Canonical Event Log in each of its encodings.

One record at a time is taken apart, so that a hostile log needs little more memory than its longest record. Offsets in
JSON count characters.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from efi_services.tcg.log import MAX_EVENTS, LogError
from shim.measure.formats.cbor import CborError, Reader
from shim.measure.formats.cel import CC_REGISTER, CONTENT, CONTENT_TYPE, DIGESTS, NV_INDEX, PC_CLIENT, PCR
from shim.measure.formats.cel_values import (
    BadRecord,
    event,
    json_content,
    json_digests,
    number_in,
    numbered_content,
    numbered_digests,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from efi_services.tcg.events import Event

#: How many brackets, braces and commas a text may have: each may come to an object of some 60 bytes.
_MAX_MARKS = 2_000_000
_ABOUT = {"pcr": PCR, "nv_index": NV_INDEX, "ccmr": CC_REGISTER}
_SPACE = re.compile(r"[ \t\r\n]*")
_U64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Record:
    """A record: where it begins, its number where it has one, what kind of register it is about, and the event."""

    offset: int
    number: int | None
    about: int
    event: Event


def json_records(data: bytes) -> Iterator[Record]:
    """CEL-JSON: an array of objects."""
    text = _text(data)
    at = _after_space(text, _after_space(text, 0) + 1)
    number = 0
    more = text[at : at + 1] != "]"
    while more:
        record, at = _json_record(text, at, number)
        yield record
        number += 1
        at = _after_space(text, at)
        if text[at : at + 1] not in ("]", ","):
            raise LogError("the array does not go on, and does not end", at, number)
        more = text[at] == ","
        if more:
            at = _after_space(text, at + 1)
    if _after_space(text, at + 1) != len(text):
        raise LogError("something follows the end of the array", at + 1, number)


def sequence_records(data: bytes) -> Iterator[Record]:
    """A sequence of JSON texts (RFC 7464), as systemd's log is one."""
    text = _text(data)
    at, number = 0, 0
    while at < len(text):
        if text[at] != "\x1e":
            raise LogError("no separator stands before it", at, number)
        record, at = _json_record(text, _after_space(text, at + 1), number)
        yield record
        at = _after_space(text, at)
        number += 1


def cbor_records(data: bytes) -> Iterator[Record]:
    """CEL-CBOR: an array of maps."""
    reader = Reader(data)
    number, at = 0, 0
    try:
        count = reader.array()
        while number < count if count is not None else not reader.ends():
            at = reader.at
            _check_count(number, at)
            yield _numbered_record(at, reader.item())
            number += 1
    except (CborError, BadRecord) as why:
        raise LogError(str(why), at, number) from None
    if reader.at != len(data):
        raise LogError("something follows the end of the array", reader.at, number)


def tlv_records(data: bytes) -> Iterator[Record]:
    """CEL-TLV: the fields of one record after those of the other, in their order."""
    at, number = 0, 0
    while at < len(data):
        start = at
        _check_count(number, at)
        try:
            (first, recnum), at = _field(data, at)
            (about, index), at = _field(data, at)
            (third, digests), at = _field(data, at)
            (content_type, content), at = _field(data, at)
            if first != 0 or third != DIGESTS or len(recnum) not in (4, 8) or len(index) not in (1, 4):
                raise BadRecord("its fields are not record number, register, digests and content")
            fields: dict[object, Any] = {
                0: int.from_bytes(recnum, "big"),
                about: int.from_bytes(index, "big"),
                DIGESTS: [{0: each, 1: digest} for each, digest in _fields(digests)],
                CONTENT_TYPE: content_type,
                CONTENT: _tlv_content(content) if content_type == PC_CLIENT else content,
            }
            record = _numbered_record(start, fields)
        except BadRecord as why:
            raise LogError(str(why), start, number) from None
        yield record
        number += 1


def _json_record(text: str, at: int, number: int) -> tuple[Record, int]:
    _check_count(number, at)
    try:
        found, end = _DECODER.raw_decode(text, at)
        if not isinstance(found, dict):
            raise BadRecord("it is no object")
        about = [key for key in _ABOUT if key in found]
        if len(about) != 1:
            raise BadRecord("it is not about one register")
        index = number_in(found, about[0], 0xFFFF_FFFF)
        recnum = number_in(found, "recnum", _U64) if "recnum" in found else None
        kind, data = json_content(found.get("content_type"), found.get("content"))
        made = event(index, kind, json_digests(found.get("digests")), data)
    except (ValueError, RecursionError) as why:
        said = str(why) if isinstance(why, BadRecord) else "it is no JSON that can be read"
        raise LogError(said, at, number) from None
    return Record(at, recnum, _ABOUT[about[0]], made), end


def _numbered_record(at: int, found: Any) -> Record:
    """A record whose fields have numbers, as in CBOR."""
    if not isinstance(found, dict):
        raise BadRecord("it is no map")
    about = [each for each in _ABOUT.values() if each in found]
    if len(about) != 1:
        raise BadRecord("it is not about one register")
    index = number_in(found, about[0], 0xFFFF_FFFF)
    recnum = number_in(found, 0, _U64) if 0 in found else None
    kind, data = numbered_content(number_in(found, CONTENT_TYPE, 0xFFFF), found.get(CONTENT))
    return Record(at, recnum, about[0], event(index, kind, numbered_digests(found.get(DIGESTS)), data))


def _tlv_content(content: bytes) -> dict[int, object]:
    fields = _fields(content)
    if [each for each, _ in fields] != [0, 1] or len(fields[0][1]) != 4:
        raise BadRecord("its content is not an event's type and data")
    return {0: int.from_bytes(fields[0][1], "big"), 1: fields[1][1]}


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        field, at = _field(data, at)
        found.append(field)
        if len(found) > 16:
            raise BadRecord("it has more fields than there are algorithms")
    return found


def _field(data: bytes, at: int) -> tuple[tuple[int, bytes], int]:
    head = data[at : at + 5]
    size = int.from_bytes(head[1:], "big")
    value = data[at + 5 : at + 5 + size]
    if len(head) < 5 or len(value) < size:
        raise BadRecord("a field is cut off")
    return (head[0], value), at + 5 + size


def _text(data: bytes) -> str:
    if sum(data.count(mark) for mark in b"[{,") > _MAX_MARKS:
        raise LogError(f"more than {_MAX_MARKS} values", 0, 0)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as why:
        raise LogError("it is not UTF-8", why.start, 0) from None


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _check_count(number: int, at: int) -> None:
    if number >= MAX_EVENTS:
        raise LogError(f"more than {MAX_EVENTS} events", at, number)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRecord("an object has a key twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
