"""Platforms as users write them: TOML, checked by one model, and what the machine and the firmware make of it."""

from __future__ import annotations

import hashlib
import tomllib
from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, Self
from uuid import UUID

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from shim.errors import UnreadableError, UsageError

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
#: The largest guest memory: what one page table level of the firmware's map covers.
MAX_MEMORY = 512 << 30
MIN_MEMORY = 16 << 20
MAX_BLOB = 64 << 20


def parse_size(text: object) -> int:
    """A number of bytes: an int, or text such as "1G", "512M", "0x9f000"; raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no size")  # noqa: TRY004 - pydantic wants a ValueError
    word = text.strip().upper().removesuffix("B").removesuffix("I")
    try:
        if word[-1:] in _UNITS:
            return int(word[:-1], 0) * _UNITS[word[-1]]
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{text!r} is no size; write for example 512M or 1G") from None


def _hexadecimal(value: int) -> str:
    return f"{value:#x}"


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(_hexadecimal, return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "description": "bytes, as a number or such as 512M or 0x9f000"}),
]


def _in_utc(moment: datetime) -> datetime:
    """A time without a zone is UTC: it must not depend on the host's."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]


class Model(BaseModel):
    """What all parts have in common: no unknown keys, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Hole(Model):
    """Addresses within RAM's range where there is none."""

    start: Size
    size: Size


class Reserved(Hole):
    """RAM that is not free at power-on: its memory type, and whether it is mapped at all."""

    type: str
    mapped: bool = True


class Memory(Model):
    """RAM: *size* bytes from *base*; what goes beyond *low_limit* continues at *high_base*."""

    size: Size = 1 << 30
    base: Size = 0
    low_limit: Size = 1 << 63
    high_base: Size = 1 << 63
    reserved: tuple[Reserved, ...] = ()
    holes: tuple[Hole, ...] = ()


class FirmwareSettings(Model):
    """What the firmware says of itself, and which protocols it offers.

    *start_time* is what GetTime says at power-on.
    """

    vendor: str = Field(default="efi-shim", max_length=200)
    revision: int = Field(default=0x10000, ge=0, lt=1 << 32)
    start_time: Moment = datetime(2026, 1, 1, tzinfo=UTC)
    stack: Size = 256 << 10
    console: bool = True
    rng: bool = True
    memory_attribute: bool = True
    runtime_services: int = Field(default=0x3FFF, ge=0, le=0x3FFF)


class SecureBoot(Model):
    """The state that the Secure Boot variables tell. Nothing is verified yet, so it can't be enabled."""

    enabled: Literal[False] = False
    setup_mode: bool = True


class Blob(Model):
    """Bytes, in hexadecimal or in a file beside the platform's own."""

    data: str | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.data is None) == (self.file is None):
            raise ValueError("give either data or file")
        try:
            bytes.fromhex(self.data or "")
        except ValueError:
            raise ValueError("data is not hexadecimal") from None
        return self

    @cached_property
    def content(self) -> bytes:
        """The bytes; a file has been replaced by its content when the platform was read."""
        return bytes.fromhex(self.data or "")


class AcpiTable(Blob):
    """An ACPI table, whole: its own length and checksum have to be right (ACPI 6.5, section 5.2.6)."""

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        table = self.content
        if self.data is not None and (len(table) < 36 or int.from_bytes(table[4:8], "little") != len(table)):
            raise ValueError(f"no ACPI table: of {len(table)} bytes, its header says otherwise")
        if sum(table) & 0xFF:
            raise ValueError("the checksum of the ACPI table is wrong")
        return self


class VariableSettings(Blob):
    """A variable that the platform brings. *attributes* are those of SetVariable."""

    name: str = Field(min_length=1, max_length=512)
    vendor: UUID
    attributes: int = Field(default=7, ge=0, lt=0x80)


class TableSettings(Blob):
    """A configuration table that the platform brings."""

    vendor: UUID
    type: str = "ACPIReclaimMemory"


class Platform(Model):
    """A machine and its firmware."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    machine: Literal["x86_64"] = "x86_64"
    cpu: Literal["nehalem", "westmere", "sandybridge"] = "westmere"
    memory: Memory = Memory()
    firmware: FirmwareSettings = FirmwareSettings()
    secure_boot: SecureBoot = SecureBoot()
    variables: tuple[VariableSettings, ...] = ()
    tables: tuple[TableSettings, ...] = ()
    acpi: tuple[AcpiTable, ...] = ()
    smbios: Blob | None = None

    @property
    def toml(self) -> str:
        """The whole platform as it is used."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    @property
    def sha256(self) -> str:
        """The digest of `toml`."""
        return hashlib.sha256(self.toml.encode()).hexdigest()

    def with_memory(self, size: int) -> Platform:
        """The same machine with another amount of RAM."""
        return self.model_copy(update={"memory": self.memory.model_copy(update={"size": size})})


def ready_platforms() -> tuple[str, ...]:
    """The names of the platforms that come with the package."""
    folder = resources.files("shim") / "platforms"
    return tuple(sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml")))


def load_platform(name: str) -> Platform:
    """A platform by the name of a ready one or the path of a TOML file.

    Raises:
        UsageError: no such platform, or what the file says makes no sense.
        UnreadableError: a file can't be read.
    """
    if name in ready_platforms():
        text = (resources.files("shim") / "platforms" / f"{name}.toml").read_text()
        return _parse(text, name, None)
    path = Path(name)
    if not name.endswith(".toml"):
        raise UsageError(
            f"there is no platform {name!r}; ready ones: {', '.join(ready_platforms())}, or give a .toml file"
        )
    return _parse(_read(path, MAX_BLOB).decode("utf-8", "replace"), name, path.parent)


def _parse(text: str, name: str, folder: Path | None) -> Platform:
    try:
        data = tomllib.loads(text)
        _fill_in(data, folder)
        return Platform.model_validate(data)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"platform {name}: {error}") from None
    except RecursionError:
        raise UsageError(f"platform {name}: nested too deeply") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(each) for each in first["loc"])
        raise UsageError(f"platform {name}: {where}: {first['msg']}") from None


def _fill_in(data: dict[str, object], folder: Path | None) -> None:
    """Put the content of files where the platform names them, so that nothing of it lies elsewhere."""
    for value in data.values():
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                continue
            if isinstance(each.get("file"), str) and "data" not in each and folder is not None:
                each["data"] = _read(folder / each.pop("file"), MAX_BLOB).hex()


def _read(path: Path, limit: int) -> bytes:
    try:
        if not path.is_file():
            raise UnreadableError(f"{path}: no such file")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    if len(data) > limit:
        raise UnreadableError(f"{path}: larger than {limit} bytes")
    return data
