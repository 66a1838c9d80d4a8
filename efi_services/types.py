"""The vocabulary of declarations: every argument and field type of UEFI 2.10, section 2.3.1, that we use.

A type is a plain Python type with a marker: mypy sees ``int`` or ``UUID``, the declaration machinery sees how
it lies in guest memory, how wide it is and how a person wants to read it. Pointer width is not part of a type:
it comes from the `Abi` each time a value is decoded.
"""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any, Generic, Protocol, TypeAlias, TypeVar

from efi_services import status as status_codes
from efi_services.status import EfiError, Status

if TYPE_CHECKING:
    from efi_services.abi import Abi
    from efi_services.ports import Memory

T = TypeVar("T")
Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

Guid = uuid.UUID

#: A guest string longer than this many characters is no string but a wild pointer.
MAX_STRING = 65536
#: Likewise for a device path, in bytes.
MAX_DEVICE_PATH = 65536


class Codec(Protocol[T]):
    """How values of one type lie in guest memory and how they are shown."""

    def size(self, abi: Abi) -> int:
        """Bytes in memory."""

    def load(self, abi: Abi, data: bytes) -> T:
        """The value that *data* holds."""

    def store(self, abi: Abi, value: T) -> bytes:
        """The bytes of *value*."""

    def show(self, value: T) -> Json:
        """The value as the record of a call holds it."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """An unsigned integer of *width* bytes, or of natural width (None)."""

    width: int | None
    kind: str = "number"

    def size(self, abi: Abi) -> int:
        """Bytes in memory."""
        return self.width or abi.pointer_bytes

    def load(self, abi: Abi, data: bytes) -> int:
        """The number at the start of *data*."""
        return int.from_bytes(data[: self.size(abi)], "little")

    def store(self, abi: Abi, value: int) -> bytes:
        """The value's low bytes."""
        size = self.size(abi)
        return (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little")

    def show(self, value: int) -> Json:
        """The number, or what its kind makes of it."""
        match self.kind:
            case "hex":
                return f"{value:#x}"
            case "boolean":
                return bool(value)
            case _:
                return value


class StatusScalar(Scalar):
    """EFI_STATUS, which services see in its 64-bit form."""

    def load(self, abi: Abi, data: bytes) -> int:
        """The status, whose error bit is the highest of its natural width."""
        return status_codes.decode(super().load(abi, data), abi.pointer_bytes)

    def store(self, abi: Abi, value: int) -> bytes:
        """The same, the other way round."""
        return super().store(abi, status_codes.encode(value, abi.pointer_bytes))

    def show(self, value: int) -> Json:
        """The specification's name of it."""
        return status_codes.name(value)


@dataclass(frozen=True, slots=True)
class Enumeration:
    """A C enum: 32 bits wide in every UEFI ABI."""

    type: type[IntEnum]

    def size(self, _abi: Abi) -> int:
        """Bytes in memory."""
        return 4

    def load(self, _abi: Abi, data: bytes) -> IntEnum:
        """The enumerator; raises INVALID_PARAMETER for a number that is none."""
        try:
            return self.type(int.from_bytes(data[:4], "little"))
        except ValueError:
            raise EfiError(Status.INVALID_PARAMETER) from None

    def store(self, _abi: Abi, value: IntEnum) -> bytes:
        """Its number."""
        return int(value).to_bytes(4, "little")

    def show(self, value: IntEnum) -> Json:
        """Its name."""
        return value.name


class GuidCodec:
    """EFI_GUID: 16 bytes, the first three fields little-endian."""

    def size(self, _abi: Abi) -> int:
        """Bytes in memory."""
        return 16

    def load(self, _abi: Abi, data: bytes) -> Guid:
        """The GUID at the start of *data*."""
        return Guid(bytes_le=data[:16])

    def store(self, _abi: Abi, value: Guid) -> bytes:
        """Its 16 bytes."""
        return value.bytes_le

    def show(self, value: Guid) -> Json:
        """The GUID as text."""
        return str(value)


UINT8 = Annotated[int, Scalar(1)]
UINT16 = Annotated[int, Scalar(2)]
UINT32 = Annotated[int, Scalar(4)]
UINT64 = Annotated[int, Scalar(8)]
UINTN = Annotated[int, Scalar(None)]
#: A UINTN that counts bytes.
Bytes = Annotated[int, Scalar(None, "bytes")]
Boolean = Annotated[int, Scalar(1, "boolean")]
Handle = Annotated[int, Scalar(None, "hex")]
EventHandle = Annotated[int, Scalar(None, "hex")]
#: A pointer whose target is not the service's business; NULL is a value like any other.
Pointer = Annotated[int, Scalar(None, "hex")]
PhysicalAddress = Annotated[int, Scalar(8, "hex")]
#: Bits that mean something each, so people read them in hexadecimal.
Flags32 = Annotated[int, Scalar(4, "hex")]
Flags64 = Annotated[int, Scalar(8, "hex")]
StatusCode = Annotated[int, StatusScalar(None)]


class Tpl(IntEnum):
    """Task priority levels that a service may be asked for (section 7.1.1)."""

    APPLICATION = 4
    CALLBACK = 8
    NOTIFY = 16
    HIGH_LEVEL = 31


class Pointee:
    """Marks an argument that points to a constant value; the service sees the value."""


class Text16:
    """Marks a pointer to a NUL-terminated UCS-2 string; the service sees a str."""


class Text8:
    """Marks a pointer to a NUL-terminated string of 8-bit characters; the service sees a str."""


class Path:
    """Marks a pointer to a device path; the service sees its bytes, end node included, as a `GuestPath`."""


class GuestPath(bytes):
    """A device path in guest memory: its bytes, and where they lie."""

    address: int = 0


class Variadic:
    """Marks the last argument of a service that reads pairs of arguments up to a NULL."""


In = Annotated[T, Pointee()]
CStr16 = Annotated[str, Text16()]
CStr8 = Annotated[str, Text8()]
DevicePathBytes = Annotated[GuestPath, Path()]
Pairs = Annotated["list[tuple[int, int]]", Variadic()]


class Ref(Generic[T]):
    """A pointer argument through which a service answers."""

    __slots__ = ("_abi", "_codec", "_memory", "_seen", "address", "result")

    def __init__(self, address: int, codec: Codec[T], abi: Abi, memory: Memory) -> None:
        self.address = address
        self.result: T | None = None
        self._codec = codec
        self._abi = abi
        self._memory = memory
        self._seen: T | None = None

    def set(self, value: T) -> None:
        """Answer."""
        self._memory.write(self.address, self._codec.store(self._abi, value))
        self.result = value


class Out(Ref[T]):
    """A pointer whose target the service only writes."""

    __slots__ = ()


class InOut(Ref[T]):
    """A pointer whose target the service reads once, when it is called, and may write."""

    __slots__ = ()

    def get(self) -> T:
        """The value at the time of the call."""
        if self._seen is None:
            self._seen = self._codec.load(self._abi, self._memory.read(self.address, self._codec.size(self._abi)))
        return self._seen


class Buffer:
    """A pointer to memory whose extent another argument gives."""

    __slots__ = ("_memory", "address")

    def __init__(self, address: int, memory: Memory) -> None:
        self.address = address
        self._memory = memory

    def read(self, size: int) -> bytes:
        """The first *size* bytes."""
        return self._memory.read(self.address, size)

    def write(self, data: bytes) -> None:
        """Put *data* at the buffer's start."""
        self._memory.write(self.address, data)


def resolve(annotation: Any, module: str) -> Any:
    """What an annotation that is still text means in *module*: our own source, evaluated once at declaration."""
    return eval(annotation, vars(sys.modules[module])) if isinstance(annotation, str) else annotation  # noqa: S307


def codec_of(annotation: Any) -> Codec[Any]:
    """The codec that an annotation of the vocabulary stands for; raises TypeError for anything else."""
    for marker in getattr(annotation, "__metadata__", ()):
        if isinstance(marker, Scalar):
            return marker
    if isinstance(annotation, type):
        if issubclass(annotation, IntEnum):
            return Enumeration(annotation)
        if annotation is Guid:
            return GuidCodec()
        own: Codec[Any] | None = getattr(annotation, "codec", None)
        if own is not None:
            return own
    raise TypeError(f"{annotation!r} is not of the vocabulary")


def read_text(memory: Memory, address: int) -> str:
    """The NUL-terminated UCS-2 string at *address*; raises INVALID_PARAMETER where there is no end in sight."""
    data = bytearray()
    while len(data) < 2 * MAX_STRING:
        step = min(256, 4096 - (address + len(data)) % 4096)
        # An odd address can put a character across two pages: then take it by itself.
        piece = memory.read(address + len(data), step - step % 2 or 2)
        for i in range(0, len(piece), 2):
            if piece[i] == piece[i + 1] == 0:
                return (bytes(data) + piece[:i]).decode("utf-16-le", "replace")
        data += piece
    raise EfiError(Status.INVALID_PARAMETER)


def read_bytes_to_nul(memory: Memory, address: int, limit: int = MAX_STRING) -> bytes:
    """The 8-bit characters at *address* up to a NUL, which is not among them, or *limit* bytes."""
    data = b""
    # In pieces that end with a page: nobody has said that there is more memory than the string has.
    while len(data) < limit:
        at = address + len(data)
        piece = memory.read(at, min(4096 - at % 4096, limit - len(data)))
        kept, nul, _ = piece.partition(b"\0")
        data += kept
        if nul:
            break
    return data


def read_guest_path(memory: Memory, address: int) -> GuestPath:
    """The same as `read_path`, with the address kept."""
    path = GuestPath(read_path(memory, address))
    path.address = address
    return path


def read_path(memory: Memory, address: int) -> bytes:
    """The device path at *address* up to and with its end node; raises INVALID_PARAMETER for a malformed one."""
    path = bytearray()
    while len(path) < MAX_DEVICE_PATH:
        header = memory.read(address + len(path), 4)
        length = int.from_bytes(header[2:], "little")
        if length < 4:
            raise EfiError(Status.INVALID_PARAMETER)
        path += header + memory.read(address + len(path) + 4, length - 4)
        if header[0] == 0x7F and header[1] == 0xFF:
            return bytes(path)
    raise EfiError(Status.INVALID_PARAMETER)
