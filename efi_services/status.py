"""EFI_STATUS: the codes of UEFI 2.10, appendix D, and the exception that carries one out of a service."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

_ERROR = 1 << 63


class Status(IntEnum):
    """Status codes, held as a 64-bit guest would see them; `encode` narrows one for a 32-bit guest."""

    SUCCESS = 0
    WARN_UNKNOWN_GLYPH = 1
    WARN_DELETE_FAILURE = 2
    WARN_WRITE_FAILURE = 3
    WARN_BUFFER_TOO_SMALL = 4
    WARN_STALE_DATA = 5
    WARN_FILE_SYSTEM = 6
    WARN_RESET_REQUIRED = 7
    LOAD_ERROR = _ERROR | 1
    INVALID_PARAMETER = _ERROR | 2
    UNSUPPORTED = _ERROR | 3
    BAD_BUFFER_SIZE = _ERROR | 4
    BUFFER_TOO_SMALL = _ERROR | 5
    NOT_READY = _ERROR | 6
    DEVICE_ERROR = _ERROR | 7
    WRITE_PROTECTED = _ERROR | 8
    OUT_OF_RESOURCES = _ERROR | 9
    VOLUME_CORRUPTED = _ERROR | 10
    VOLUME_FULL = _ERROR | 11
    NO_MEDIA = _ERROR | 12
    MEDIA_CHANGED = _ERROR | 13
    NOT_FOUND = _ERROR | 14
    ACCESS_DENIED = _ERROR | 15
    NO_RESPONSE = _ERROR | 16
    NO_MAPPING = _ERROR | 17
    TIMEOUT = _ERROR | 18
    NOT_STARTED = _ERROR | 19
    ALREADY_STARTED = _ERROR | 20
    ABORTED = _ERROR | 21
    ICMP_ERROR = _ERROR | 22
    TFTP_ERROR = _ERROR | 23
    PROTOCOL_ERROR = _ERROR | 24
    INCOMPATIBLE_VERSION = _ERROR | 25
    SECURITY_VIOLATION = _ERROR | 26
    CRC_ERROR = _ERROR | 27
    END_OF_MEDIA = _ERROR | 28
    END_OF_FILE = _ERROR | 31
    INVALID_LANGUAGE = _ERROR | 32
    COMPROMISED_DATA = _ERROR | 33
    IP_ADDRESS_CONFLICT = _ERROR | 34
    HTTP_ERROR = _ERROR | 35


def is_error(value: int) -> bool:
    """Whether *value*, a 64-bit status, has the error bit."""
    return bool(value & _ERROR)


def encode(value: int, width: int) -> int:
    """The status as a guest with pointers of *width* bytes holds it: the error bit is its highest bit."""
    if width == 8:
        return value
    return (value & 0x7FFF_FFFF) | (0x8000_0000 if is_error(value) else 0)


def decode(value: int, width: int) -> int:
    """The 64-bit form of a status that a guest with pointers of *width* bytes returned."""
    if width == 8:
        return value
    return (value & 0x7FFF_FFFF) | (_ERROR if value & 0x8000_0000 else 0)


@lru_cache(maxsize=256)
def name(value: int) -> str:
    """The specification's name of a 64-bit status, or its number where it has none."""
    try:
        return f"EFI_{Status(value).name}"
    except ValueError:
        return f"{value:#x}"


class EfiError(Exception):
    """A service refuses: the guest sees *status*."""

    def __init__(self, status: Status) -> None:
        super().__init__(name(status))
        self.status = status


class Unimplemented(EfiError):
    """We don't do this: the guest sees EFI_UNSUPPORTED, and the call is recorded as not implemented."""

    def __init__(self) -> None:
        super().__init__(Status.UNSUPPORTED)
