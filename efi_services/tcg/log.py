"""The event log as firmware keeps it: crypto-agile (TCG_PCR_EVENT2) and the older form with SHA-1 only (TCG_PCR_EVENT).

TCG PC Client PFP, sections 10.2 and 10.4.5. All numbers are little-endian, nothing is aligned.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm, by_number
from efi_services.tcg.events import Event, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

SIGNATURE = b"Spec ID Event03\0"
_OLD = struct.Struct("<II20sI")
_SPEC = struct.Struct("<16sIBBBBI")
#: More than any log of a boot has; a hostile one could claim that each of its bytes is an event.
MAX_EVENTS = 1 << 17
MAX_ALGORITHMS = 16
_UNUSED = 0xFFFF_FFFF


class LogError(ValueError):
    """What is wrong with a log, at which offset and event (from 0)."""

    def __init__(self, why: str, offset: int, number: int) -> None:
        super().__init__(f"event {number} at offset {offset:#x}: {why}")
        self.offset = offset
        self.number = number


@dataclass(frozen=True, slots=True)
class Log:
    """A log that was read.

    *crypto_agile* logs begin with a header that names their algorithms; the register's index in it is 0 by the
    specification, and 1 in logs of OVMF for TDX. Digests of algorithms that we don't know are left out.
    """

    events: tuple[Event, ...]
    algorithms: tuple[Algorithm, ...]
    crypto_agile: bool = True
    header_index: int = 0
    vendor_info: bytes = field(default=b"", repr=False)
    size: int = 0


def header(algorithms: tuple[Algorithm, ...], *, index: int = 0, vendor_info: bytes = b"") -> bytes:
    """The first entry of a crypto-agile log: TCG_EfiSpecIDEvent in the older form of an event."""
    spec = _SPEC.pack(SIGNATURE, 0, 0, 2, 0, 2, len(algorithms))
    spec += b"".join(struct.pack("<HH", each.number, each.size) for each in algorithms)
    spec += bytes([len(vendor_info)]) + vendor_info
    return _OLD.pack(index, EventType.EV_NO_ACTION, bytes(20), len(spec)) + spec


def encode_event(event: Event, algorithms: tuple[Algorithm, ...]) -> bytes:
    """TCG_PCR_EVENT2; digests that it lacks are zero, as those of events that extend nothing are."""
    digests = b"".join(
        struct.pack("<H", each.number) + event.digests.get(each, bytes(each.size)) for each in algorithms
    )
    head = struct.pack("<III", event.index, event.type, len(algorithms))
    return head + digests + struct.pack("<I", len(event.data)) + event.data


def encode_old_event(event: Event) -> bytes:
    """TCG_PCR_EVENT, with the SHA-1 digest only."""
    digest = event.digests.get(Algorithm.SHA1, bytes(20))
    return _OLD.pack(event.index, event.type, digest, len(event.data)) + event.data


def encode(events: Iterable[Event], algorithms: tuple[Algorithm, ...], *, header_index: int = 0) -> bytes:
    """A whole crypto-agile log."""
    return header(algorithms, index=header_index) + b"".join(encode_event(each, algorithms) for each in events)


def encode_old(events: Iterable[Event]) -> bytes:
    """A whole log of the older form."""
    return b"".join(map(encode_old_event, events))


def decode(data: bytes) -> Log:
    """Read a log of either form; what lies behind its last event may be unused memory (all ones or zeroes).

    Raises:
        LogError: it ends in the middle, contradicts itself, or claims what can't be.
    """
    reader = _Reader(data)
    if not reader.more():
        return Log((), (), crypto_agile=False)
    first = reader.old_event()
    if first.type != EventType.EV_NO_ACTION or not first.data.startswith(SIGNATURE):
        return _decode_old(reader, first)
    sizes, vendor_info = _spec_id(first.data)
    events: list[Event] = []
    while reader.more():
        events.append(reader.event(sizes))
    known = tuple(each for each in map(by_number, sizes) if each is not None)
    return Log(tuple(events), known, True, first.index, vendor_info, reader.at)


def _decode_old(reader: _Reader, first: Event) -> Log:
    events = [first]
    while reader.more():
        events.append(reader.old_event())
    return Log(tuple(events), (Algorithm.SHA1,), crypto_agile=False, size=reader.at)


def _spec_id(data: bytes) -> tuple[dict[int, int], bytes]:
    """The sizes of digests by TPM_ALG_ID, and the vendor's part."""
    at = _SPEC.size
    if len(data) < at:
        raise LogError("the header is cut off", 0, 0)
    count = _SPEC.unpack_from(data)[-1]
    if not 0 < count <= MAX_ALGORITHMS or len(data) < at + 4 * count + 1:
        raise LogError(f"the header tells of {count} algorithms in {len(data)} bytes", 0, 0)
    sizes = dict(struct.iter_unpack("<HH", data[at : at + 4 * count]))
    if len(sizes) != count:
        raise LogError("the header names an algorithm twice", 0, 0)
    for number, size in sizes.items():
        known = by_number(number)
        if known is not None and size != known.size:
            raise LogError(f"the header gives {known.label} {size} bytes", 0, 0)
    at += 4 * count
    vendor_info = data[at + 1 : at + 1 + data[at]]
    if len(vendor_info) != data[at]:
        raise LogError("the header's vendor information is cut off", 0, 0)
    return sizes, vendor_info


class _Reader:
    """Walks over a log; `at` is the offset of what comes next."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0
        self._start = 0
        self._number = 0

    def more(self) -> bool:
        """Whether another event begins here."""
        left = len(self._data) - self.at
        if left == 0:
            return False
        head = self._data[self.at : self.at + 8]
        # EDK2 leaves unused memory all ones, other firmware zero: no event of PCR 0 has type 0 but EV_PREBOOT_CERT,
        # which nobody writes.
        for unused in (b"\xff", b"\0"):
            if head == unused * len(head):
                if self._data.count(unused, self.at) != left:
                    self._start = self.at
                    raise self._error("unused memory begins here, and something is in it")
                return False
        if self._number >= MAX_EVENTS:
            raise self._error(f"more than {MAX_EVENTS} events")
        return True

    def old_event(self) -> Event:
        self._start = self.at
        index, kind, digest, size = _OLD.unpack(self._take(_OLD.size, "the head"))
        return self._done(Event(index, kind, {Algorithm.SHA1: digest}, self._take(size, "the data")))

    def event(self, sizes: dict[int, int]) -> Event:
        self._start = self.at
        index, kind, count = struct.unpack("<III", self._take(12, "the head"))
        if count != len(sizes):
            raise self._error(f"{count} digests, where the header tells of {len(sizes)}")
        found: dict[int, bytes] = {}
        for _ in range(count):
            (number,) = struct.unpack("<H", self._take(2, "a digest"))
            if number not in sizes or number in found:
                raise self._error(f"a digest by algorithm {number:#x}, {'again' if number in found else 'unannounced'}")
            found[number] = self._take(sizes[number], "a digest")
        (size,) = struct.unpack("<I", self._take(4, "the size of the data"))
        digests = {known: digest for number, digest in found.items() if (known := by_number(number)) is not None}
        return self._done(Event(index, kind, digests, self._take(size, "the data")))

    def _take(self, size: int, what: str) -> bytes:
        found = self._data[self.at : self.at + size]
        if len(found) < size:
            raise self._error(f"{what} has {size} bytes, and {len(found)} are left")
        self.at += size
        return found

    def _done(self, event: Event) -> Event:
        self._number += 1
        return event

    def _error(self, why: str) -> LogError:
        return LogError(why, self._start, self._number)
