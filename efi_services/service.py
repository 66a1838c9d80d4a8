"""Declarations: one annotated signature is the whole truth about a service.

From it come the decoding of arguments, the NULL and enum checks, the record of each call, the documentation
table and the policy vocabulary. A signature is ``(receiver, *arguments) -> result``: the receiver is the
`Firmware` for the services of the tables and the protocol instance for methods, whose ``This`` the dispatcher
has resolved. The result is a Status, a value for the few services that return one, or None.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

from efi_services.status import EfiError, Status
from efi_services.types import (
    Buffer,
    Codec,
    Guid,
    InOut,
    Json,
    Out,
    Path,
    Pointee,
    Ref,
    Scalar,
    Text8,
    Text16,
    Variadic,
    codec_of,
    read_bytes_to_nul,
    read_guest_path,
    read_text,
    resolve,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from efi_services.abi import Abi
    from efi_services.ports import Memory

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class GuestCall:
    """A service asks for a guest function to be called; the dispatcher sends back what it returned.

    *image* is the handle of the image that this call starts, None for a notification function.
    """

    function: int
    arguments: tuple[int, ...]
    image: int | None = None


#: The return type of a service that calls guest functions on the way.
Calls = Generator[GuestCall, int, R]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument: its name, what it is, and whether NULL is allowed."""

    name: str
    role: str  # value, in, out, inout, buffer, text, text8, path, pairs
    optional: bool
    codec: Codec[Any] | None
    spelling: str

    def width(self, abi: Abi) -> int:
        """Bytes of the argument itself."""
        return self.codec.size(abi) if self.role == "value" and self.codec is not None else abi.pointer_bytes

    def decoder(self, abi: Abi, memory: Memory) -> Callable[[Any], Any]:
        """What makes of a raw argument what the body gets, and raises INVALID_PARAMETER as the signature says."""
        if self.role == "pairs":
            return lambda pairs: pairs
        if self.role != "value":
            return lambda raw: self._follow(raw, abi, memory)
        codec = self.codec
        assert codec is not None
        size = codec.size(abi)
        # The caller leaves the upper part of a narrow argument undefined.
        mask = (1 << (8 * size)) - 1
        if type(codec) is Scalar:
            return mask.__and__
        return lambda raw: codec.load(abi, (raw & mask).to_bytes(size, "little"))

    def _follow(self, raw: int, abi: Abi, memory: Memory) -> Any:
        """What is at the pointer *raw*."""
        if raw == 0:
            if self.optional:
                return None
            raise EfiError(Status.INVALID_PARAMETER)
        match self.role:
            case "in":
                assert self.codec is not None
                return self.codec.load(abi, memory.read(raw, self.codec.size(abi)))
            case "out":
                assert self.codec is not None
                return Out(raw, self.codec, abi, memory)
            case "inout":
                assert self.codec is not None
                return InOut(raw, self.codec, abi, memory)
            case "buffer":
                return Buffer(raw, memory)
            case "text":
                return read_text(memory, raw)
            case "text8":
                return read_bytes_to_nul(memory, raw).decode("latin-1")
            case _:
                return read_guest_path(memory, raw)

    @property
    def shown(self) -> Callable[[Any], Json]:
        """What makes of the decoded argument what the record holds."""
        if self.role == "value" and self.codec is not None:
            return self.codec.show
        return self.show

    def show(self, value: Any) -> Json:
        """The decoded argument for the record."""
        if value is None:
            return None
        match self.role:
            case "value" | "in":
                assert self.codec is not None
                return self.codec.show(value)
            case "inout":
                assert self.codec is not None
                return self.codec.show(value.get())
            case "out" | "buffer":
                return f"{value.address:#x}"
            case "path":
                from efi_services.device_path import to_text

                return to_text(value)
            case _:
                return str(value)


@dataclass(slots=True)
class Service:
    """A declared service or protocol method."""

    name: str
    spec: str
    function: Callable[..., Any] | None
    parameters: tuple[Parameter, ...] = ()
    returns: str = "status"  # status, value, nothing
    doc: str = ""
    protocol: str | None = None
    guid: Guid | None = None
    #: Its first argument is the interface that it was found in; a few of the specification's functions have none.
    has_this: bool = False

    @property
    def implemented(self) -> bool:
        """False for a slot that exists and only says that it does nothing."""
        return self.function is not None

    def results(self, values: Sequence[Any]) -> dict[str, Json]:
        """What the service answered through its pointers, by parameter name."""
        answered: dict[str, Json] = {}
        for parameter, value in zip(self.parameters, values, strict=True):
            if isinstance(value, Ref) and value.result is not None:
                assert parameter.codec is not None
                answered[parameter.name] = parameter.codec.show(value.result)
        return answered


def service(name: str, spec: str) -> Callable[[F], F]:
    """Declare a boot or runtime service: its name in the specification, and the section that defines it."""

    def declare(function: F) -> F:
        function.service = _declare(name, spec, function)  # type: ignore[attr-defined]
        return function

    return declare


def method(name: str, spec: str) -> Callable[[F], F]:
    """Declare a protocol's method, whose first argument is `This`; `protocol` completes it."""
    declare = service(name, spec)

    def with_this(function: F) -> F:
        declare(function).service.has_this = True  # type: ignore[attr-defined]
        return function

    return with_this


#: Declare a function of a protocol that doesn't get `This`.
function = service


def unsupported(name: str, spec: str) -> Service:
    """A slot that we do not implement: calls to it get EFI_UNSUPPORTED and are recorded as such."""
    return Service(name, spec, None)


@dataclass(frozen=True, slots=True)
class Member:
    """A data field of a protocol's interface structure; the instance's attribute *value* holds what it is."""

    name: str
    annotation: Any
    value: str


@dataclass(frozen=True, slots=True)
class ProtocolType:
    """A protocol: its GUID, its name, and the slots of its interface structure in order.

    An interface that is never on a handle has no GUID. One that *outlives* boot services can be called after
    ExitBootServices too.
    """

    guid: Guid | None
    name: str
    spec: str
    slots: tuple[Service | Member, ...]
    doc: str
    outlives: bool = False


PROTOCOLS: dict[str, ProtocolType] = {}


def protocol(guid: str | None, name: str, spec: str, *, outlives: bool = False) -> Callable[[type[R]], type[R]]:
    """Declare a protocol: a class whose methods and members stand in slot order.

    With *outlives* it can be called after ExitBootServices too, by who has got it before.
    """

    def declare(cls: type[R]) -> type[R]:
        known = None if guid is None else Guid(guid)
        slots: list[Service | Member] = []
        inherited = {name: each for base in cls.__mro__[:0:-1] for name, each in vars(base).items()}
        for attribute in (inherited | dict(vars(cls))).values():
            declared = getattr(attribute, "service", attribute)
            if isinstance(declared, Service):
                # A slot belongs to one protocol.
                declared = replace(declared) if declared.protocol is not None else declared
                declared.protocol, declared.guid = name, known
                slots.append(declared)
            elif isinstance(declared, Member):
                slots.append(declared)
        made = ProtocolType(known, name, spec, tuple(slots), inspect.getdoc(cls) or "", outlives)
        PROTOCOLS[name] = made
        cls.protocol = made  # type: ignore[attr-defined]
        return cls

    return declare


def _declare(name: str, spec: str, function: Callable[..., Any]) -> Service:
    names = list(inspect.signature(function).parameters)[1:]
    hints = function.__annotations__
    parameters = tuple(_parameter(each, resolve(hints[each], function.__module__), str(hints[each])) for each in names)
    result = hints["return"]
    returns = "status" if "Status" in str(result) else "nothing" if result in ("None", None) else "value"
    return Service(name, spec, function, parameters, returns, inspect.getdoc(function) or "")


def _parameter(name: str, annotation: Any, spelling: str) -> Parameter:
    optional = False
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [each for each in get_args(annotation) if each is not types.NoneType]
        optional, annotation = len(inner) < len(get_args(annotation)), inner[0]
    for marker in getattr(annotation, "__metadata__", ()):
        if isinstance(marker, Pointee):
            return Parameter(name, "in", optional, codec_of(annotation.__origin__), spelling)
        if isinstance(marker, Text16):
            return Parameter(name, "text", optional, None, spelling)
        if isinstance(marker, Text8):
            return Parameter(name, "text8", optional, None, spelling)
        if isinstance(marker, Path):
            return Parameter(name, "path", optional, None, spelling)
        if isinstance(marker, Variadic):
            return Parameter(name, "pairs", optional, None, spelling)
        if isinstance(marker, Scalar):
            return Parameter(name, "value", optional, marker, spelling)
    if annotation is Buffer:
        return Parameter(name, "buffer", optional, None, spelling)
    if get_origin(annotation) in (Out, InOut):
        role = "out" if get_origin(annotation) is Out else "inout"
        return Parameter(name, role, optional, codec_of(get_args(annotation)[0]), spelling)
    return Parameter(name, "value", optional, codec_of(annotation), spelling)
