"""What a CEL record is made of, checked: digests, and content that becomes an event's type and data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from efi_services.tcg.algorithms import Algorithm, by_label, by_number
from efi_services.tcg.events import Event, EventType
from shim.measure.formats.cel import CONTENTS, EVENT_DATA, EVENT_TYPE, PC_CLIENT
from shim.measure.formats.common import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Content that is no event of a firmware gets a type of this range, with CEL's number in the lower bits.
FOREIGN = 0x7CE1_0000
_U32 = 0xFFFF_FFFF
_MAX_DIGESTS = 16


class BadRecord(ValueError):
    """What is wrong with a record; where it is, the one knows who reads it."""


def event(index: int, kind: int, digests: dict[Algorithm, bytes], data: bytes) -> Event:
    """An event; CEL's own notes, which have no digests, extend nothing."""
    if kind == FOREIGN | CONTENTS["cel"] and not digests:
        kind = EventType.EV_NO_ACTION
    return Event(index, kind, digests, data)


def number_in(found: Mapping[Any, Any], key: object, most: int) -> int:
    """A number from 0 to *most*."""
    value = found.get(key)
    # bool is a kind of int, and no number of a register.
    if type(value) is not int or not 0 <= value <= most:
        raise BadRecord(f"{key} is no number that it can be")
    return value


def json_digests(found: object) -> dict[Algorithm, bytes]:
    """A list of hashAlg and digest."""
    digests = []
    for each in _some(found):
        label, digest = each.get("hashAlg"), each.get("digest")
        if not isinstance(label, str):
            raise BadRecord("a digest has no algorithm")
        digests.append((label, by_label(label), _hexadecimal(digest)))
    return _checked(digests)


def numbered_digests(found: object) -> dict[Algorithm, bytes]:
    """A list of maps with the algorithm's number and the digest."""
    digests = []
    for each in _some(found):
        number, digest = number_in(each, 0, 0xFFFF), each.get(1)
        if not isinstance(digest, bytes):
            raise BadRecord("a digest is no bytes")
        digests.append((number, by_number(number), digest))
    return _checked(digests)


def json_content(kind: object, content: Any) -> tuple[int, bytes]:
    """An event's type and data."""
    if kind == "pcclient_std" or (type(kind) is int and kind == PC_CLIENT):
        if not isinstance(content, dict):
            raise BadRecord("its content is no object")
        return _type(content.get("event_type")), _hexadecimal(content.get("event_data"))
    if isinstance(kind, str):
        return FOREIGN | CONTENTS.get(kind, 0), canonical(content).encode(errors="replace")
    raise BadRecord("it does not say what its content is")


def numbered_content(kind: int, content: Any) -> tuple[int, bytes]:
    """An event's type and data, of content whose type is a number."""
    if kind == PC_CLIENT:
        if not isinstance(content, dict) or not isinstance(data := content.get(EVENT_DATA), bytes):
            raise BadRecord("its content is not an event's type and data")
        return number_in(content, EVENT_TYPE, _U32), data
    return FOREIGN | kind, content if isinstance(content, bytes) else repr(content).encode(errors="replace")


def _some(found: object) -> Iterable[dict[Any, Any]]:
    if not isinstance(found, list) or len(found) > _MAX_DIGESTS or not all(isinstance(each, dict) for each in found):
        raise BadRecord("its digests are no short list of objects")
    return found


def _checked(digests: Sequence[tuple[object, Algorithm | None, bytes]]) -> dict[Algorithm, bytes]:
    """Digests by the algorithms that we know, each of its size, and none twice."""
    if len({name for name, _, _ in digests}) != len(digests):
        raise BadRecord("it has two digests by one algorithm")
    found: dict[Algorithm, bytes] = {}
    for _, algorithm, digest in digests:
        if algorithm is None:
            continue
        if len(digest) != algorithm.size or algorithm in found:
            raise BadRecord(f"its {algorithm.label} digest has {len(digest)} bytes, or is there twice")
        found[algorithm] = digest
    return found


def _hexadecimal(value: object) -> bytes:
    if isinstance(value, str) and " " not in value:
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass
    raise BadRecord("what should be hexadecimal is not")


def _type(value: object) -> int:
    """A type's name, or its number, which systemd writes as text."""
    if isinstance(value, str):
        if value in EventType.__members__:
            return EventType[value]
        if value.isascii() and value.isdigit() and len(value) <= 10:
            value = int(value)
    if type(value) is not int or not 0 <= value <= _U32:
        raise BadRecord("the event's type is none")
    return value
