"""Commands of a TPM 2.0 as they go over the wire (TPM 2.0 Library, parts 2 and 3). All numbers are big-endian."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING

from efi_services.tcg.algorithms import Algorithm, by_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HEADER = struct.Struct(">HII")
NO_SESSIONS, SESSIONS, RESPONSE_OF_1_2 = 0x8001, 0x8002, 0x00C4
#: The authorization that is a password, which all PCRs have empty.
PASSWORD = 0x4000_0009
NULL_HANDLE = 0x4000_0007
NULL_ALGORITHM = 0x0010
#: The most bytes of a command and of a response.
MAX_BYTES = 4096
#: The most digests in one answer (part 2, section 10.9.6).
MAX_DIGESTS = 8
CAP_ALGORITHMS, CAP_HANDLES, CAP_COMMANDS, CAP_PCRS, CAP_PROPERTIES = 0, 1, 2, 5, 6
PT_MANUFACTURER = 0x105


class Code(IntEnum):
    """TPM_CC: commands (part 2, section 6.5.2)."""

    PCR_EVENT = 0x13C
    PCR_RESET = 0x13D
    SEQUENCE_COMPLETE = 0x13E
    SELF_TEST = 0x143
    STARTUP = 0x144
    SHUTDOWN = 0x145
    STIR_RANDOM = 0x146
    SEQUENCE_UPDATE = 0x15C
    GET_CAPABILITY = 0x17A
    GET_RANDOM = 0x17B
    GET_TEST_RESULT = 0x17C
    HASH = 0x17D
    PCR_READ = 0x17E
    READ_CLOCK = 0x181
    PCR_EXTEND = 0x182
    EVENT_SEQUENCE_COMPLETE = 0x185
    HASH_SEQUENCE_START = 0x186


class Rc(IntEnum):
    """TPM_RC: response codes (part 2, section 6.6.3), those of format 1 without a position."""

    SUCCESS = 0
    BAD_TAG = 0x01E
    INITIALIZE = 0x100
    FAILURE = 0x101
    AUTH_MISSING = 0x125
    COMMAND_SIZE = 0x142
    COMMAND_CODE = 0x143
    AUTH_CONTEXT = 0x145
    HASH = 0x083
    VALUE = 0x084
    HANDLE = 0x08B
    NONCE = 0x08F
    MODE = 0x089
    SIZE = 0x095
    SYMMETRIC = 0x096
    INSUFFICIENT = 0x09A
    BAD_AUTH = 0x0A2
    OBJECT_MEMORY = 0x902
    LOCALITY = 0x907
    REFERENCE_H0 = 0x910
    REFERENCE_S0 = 0x918


class TpmError(Exception):
    """A TPM answers with *code*."""

    def __init__(self, code: int) -> None:
        super().__init__(f"TPM_RC {code:#x}")
        self.code = code


def at_handle(code: int, number: int) -> int:
    """The response code *code* about handle *number*, from 1."""
    return code + 0x100 * number


def at_parameter(code: int, number: int) -> int:
    """The response code *code* about parameter *number*, from 1."""
    return code + 0x40 + 0x100 * number


def at_session(code: int, number: int) -> int:
    """The response code *code* about session *number*, from 1."""
    return code + 0x800 + 0x100 * number


class Parameters:
    """Reads the parameters of a command, or of a response, one after the other; raises TpmError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._number = 0

    def number(self, size: int) -> int:
        """The next parameter, an integer of *size* bytes."""
        self._number += 1
        return self._integer(size)

    def sized(self, most: int) -> bytes:
        """The next parameter, a TPM2B of *most* bytes or fewer."""
        self._number += 1
        size = self._integer(2)
        if size > most:
            raise self.error(Rc.SIZE)
        return self._take(size)

    def algorithm(self, *, null: bool = False) -> Algorithm | None:
        """The next parameter, a TPMI_ALG_HASH; None is TPM_ALG_NULL, which only some take."""
        self._number += 1
        return self._algorithm(null=null)

    def digests(self) -> dict[Algorithm, bytes]:
        """The next parameter, a TPML_DIGEST_VALUES."""
        self._number += 1
        return dict(self._digest() for _ in range(self._count(len(Algorithm))))

    def selections(self) -> list[tuple[Algorithm, int]]:
        """The next parameter, a TPML_PCR_SELECTION: banks, and a bit for each PCR."""
        self._number += 1
        return [self._selection() for _ in range(self._count(len(Algorithm)))]

    def end(self) -> None:
        """There must be no more."""
        if self._at != len(self._data):
            raise TpmError(Rc.SIZE)

    def rest(self) -> bytes:
        """Whatever follows."""
        return self._take(len(self._data) - self._at)

    def error(self, code: int) -> TpmError:
        """What is wrong with the parameter that was read last."""
        return TpmError(at_parameter(code, self._number))

    def _digest(self) -> tuple[Algorithm, bytes]:
        algorithm = self._algorithm(null=False)
        assert algorithm is not None
        return algorithm, self._take(algorithm.size)

    def _selection(self) -> tuple[Algorithm, int]:
        algorithm = self._algorithm(null=False)
        assert algorithm is not None
        size = self._integer(1)
        if size != 3:
            raise self.error(Rc.VALUE)
        return algorithm, int.from_bytes(self._take(size), "little")

    def _algorithm(self, *, null: bool) -> Algorithm | None:
        number = self._integer(2)
        if null and number == NULL_ALGORITHM:
            return None
        found = by_number(number)
        if found is None:
            raise self.error(Rc.HASH)
        return found

    def _count(self, most: int) -> int:
        count = self._integer(4)
        if count > most:
            raise self.error(Rc.SIZE)
        return count

    def _integer(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _take(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if len(found) < size:
            raise self.error(Rc.INSUFFICIENT)
        self._at += size
        return found


def sized(data: bytes) -> bytes:
    """A TPM2B."""
    return struct.pack(">H", len(data)) + data


def digest_values(values: Mapping[Algorithm, bytes]) -> bytes:
    """A TPML_DIGEST_VALUES."""
    parts = (struct.pack(">H", each.number) + value for each, value in values.items())
    return struct.pack(">I", len(values)) + b"".join(parts)


def pcr_selections(selections: Iterable[tuple[Algorithm, int]]) -> bytes:
    """A TPML_PCR_SELECTION."""
    parts = [struct.pack(">HB", each.number, 3) + bits.to_bytes(3, "little") for each, bits in selections]
    return struct.pack(">I", len(parts)) + b"".join(parts)


def command(code: int, parameters: bytes = b"", handles: tuple[int, ...] = (), *, passwords: int = 0) -> bytes:
    """A command; the first *passwords* handles are used with an empty password."""
    body = b"".join(struct.pack(">I", each) for each in handles)
    if passwords:
        area = struct.pack(">IHBH", PASSWORD, 0, 0, 0) * passwords
        body += struct.pack(">I", len(area)) + area
    body += parameters
    return HEADER.pack(SESSIONS if passwords else NO_SESSIONS, HEADER.size + len(body), code) + body


def answer(response: bytes) -> tuple[int, bytes]:
    """A response's code, and its parameters with what follows them; raises ValueError for what is no response."""
    if len(response) < HEADER.size:
        raise ValueError(f"a response of {len(response)} bytes")
    tag, size, code = HEADER.unpack_from(response)
    if tag not in (NO_SESSIONS, SESSIONS, RESPONSE_OF_1_2) or size != len(response):
        raise ValueError(f"a response with tag {tag:#x} that claims {size} bytes and has {len(response)}")
    return code, response[HEADER.size + 4 if tag == SESSIONS else HEADER.size :]
