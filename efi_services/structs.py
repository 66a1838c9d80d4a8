"""Structures: annotated classes that ctypes lays out, once per pointer width.

A structure is a dataclass whose fields are of the vocabulary. Field order is memory order, alignment is the C
compiler's (section 2.3.1), and the width of UINTN and of pointers comes from the `Abi`.
"""

from __future__ import annotations

import ctypes
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, dataclass_transform

from efi_services.types import codec_of, resolve

if TYPE_CHECKING:
    from efi_services.abi import Abi
    from efi_services.types import Codec, Json

_INTEGERS = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}

_CODECS: dict[type[Struct], dict[str, Codec[Any]]] = {}
_LAYOUTS: dict[tuple[type[Struct], int], type[ctypes.Structure]] = {}

S = TypeVar("S", bound="Struct")


class Struct:
    """Base of all structures: `pack`, `unpack`, `sizeof` and `offsetof` for any `Abi`."""

    codec: ClassVar[Codec[Any]]

    @classmethod
    def sizeof(cls, abi: Abi) -> int:
        """Bytes, trailing padding included."""
        return ctypes.sizeof(_layout(cls, abi.pointer_bytes))

    @classmethod
    def offsetof(cls, abi: Abi, field: str) -> int:
        """Byte offset of *field*."""
        offset: int = getattr(_layout(cls, abi.pointer_bytes), field).offset
        return offset

    def pack(self, abi: Abi) -> bytes:
        """The structure as it lies in memory; padding is zero."""
        layout = _layout(type(self), abi.pointer_bytes)()
        for name, codec in _codecs(type(self)).items():
            value = codec.store(abi, getattr(self, name))
            offset = getattr(type(layout), name).offset
            ctypes.memmove(ctypes.addressof(layout) + offset, value, len(value))
        return bytes(layout)

    @classmethod
    def unpack(cls, abi: Abi, data: bytes) -> Self:
        """The structure at the start of *data*."""
        layout = _layout(cls, abi.pointer_bytes)
        values = {name: codec.load(abi, data[getattr(layout, name).offset :]) for name, codec in _codecs(cls).items()}
        return cls(**values)


class _StructCodec:
    """Lets a structure stand where a type of the vocabulary is asked for."""

    def __init__(self, cls: type[Struct]) -> None:
        self.cls = cls

    def size(self, abi: Abi) -> int:
        return self.cls.sizeof(abi)

    def load(self, abi: Abi, data: bytes) -> Struct:
        return self.cls.unpack(abi, data)

    def store(self, abi: Abi, value: Struct) -> bytes:
        return value.pack(abi)

    def show(self, value: Struct) -> Json:
        return {name: codec.show(getattr(value, name)) for name, codec in _codecs(self.cls).items()}


@dataclass_transform(frozen_default=True)
def struct(cls: type[S]) -> type[S]:
    """Make *cls* a structure. A decorator, because ctypes refuses `_fields_` set while a class is being made."""
    made = dataclasses.dataclass(frozen=True)(cls)
    made.codec = _StructCodec(made)
    return made


def _codecs(cls: type[Struct]) -> dict[str, Codec[Any]]:
    if cls not in _CODECS:
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]
        _CODECS[cls] = {each.name: codec_of(resolve(cls.__annotations__[each.name], cls.__module__)) for each in fields}
    return _CODECS[cls]


def _layout(cls: type[Struct], pointer_bytes: int) -> type[ctypes.Structure]:
    made = _LAYOUTS.get((cls, pointer_bytes))
    if made is None:
        fields = [(name, _field(codec, pointer_bytes)) for name, codec in _codecs(cls).items()]
        made = type(cls.__name__, (ctypes.Structure,), {"_fields_": fields})
        _LAYOUTS[cls, pointer_bytes] = made
    return made


def _field(codec: Codec[Any], pointer_bytes: int) -> Any:
    if isinstance(codec, _StructCodec):
        return _layout(codec.cls, pointer_bytes)
    size = codec.size(_Width(pointer_bytes))  # type: ignore[arg-type]
    # Sixteen bytes are a GUID, whose widest field has 32 bits.
    return ctypes.c_uint32 * 4 if size == 16 else _INTEGERS[size]


@dataclasses.dataclass(frozen=True)
class _Width:
    """As much of an `Abi` as a layout depends on, so that architectures of one width share layouts."""

    pointer_bytes: int
