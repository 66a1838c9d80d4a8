"""Platforms as users write them: TOML, checked by one model, and what the machine and the firmware make of it."""

from __future__ import annotations

import hashlib
import tomllib
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self
from uuid import UUID

import tomli_w
from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from shim.config import ready, secure_boot
from shim.config.device_tree import Node
from shim.config.disks import MAX_DISKS, BootEntry, DiskSettings
from shim.config.firmware_log import events_of
from shim.config.graphics import Graphics
from shim.config.keys import KeyScript, parse_keys
from shim.config.measuring import ConfidentialComputing, SecureLaunch, Tpm
from shim.config.secure_boot import SecureBoot
from shim.config.values import Model, Moment, Size
from shim.errors import MissingError, UnreadableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: The largest guest memory: what one page table level of the firmware's map covers.
MAX_MEMORY = 512 << 30
MIN_MEMORY = 16 << 20
MAX_BLOB = 64 << 20


#: The CPU models of each machine, the one that is meant where none is named first.
CPU_MODELS = {
    "x86_64": ("westmere", "nehalem", "sandybridge"),
    "i386": ("westmere", "nehalem", "sandybridge"),
    "aarch64": ("cortex-a57", "cortex-a53", "cortex-a72"),
    "arm": ("cortex-a15", "cortex-a7"),
    "riscv64": ("rv64", "sifive-u54"),
}
#: The registers in which an AArch64 CPU tells of itself, which a platform may let tell something else.
IdRegister = Literal[
    "midr_el1",
    "id_aa64pfr0_el1",
    "id_aa64pfr1_el1",
    "id_aa64zfr0_el1",
    "id_aa64dfr0_el1",
    "id_aa64dfr1_el1",
    "id_aa64isar0_el1",
    "id_aa64isar1_el1",
    "id_aa64isar2_el1",
    "id_aa64mmfr0_el1",
    "id_aa64mmfr1_el1",
    "id_aa64mmfr2_el1",
]
#: The platform of a payload for a machine, where none is asked for.
DEFAULT_PLATFORMS = {
    "x86_64": "q35",
    "i386": "q35-ia32",
    "aarch64": "virt-arm64",
    "arm": "virt-arm",
    "riscv64": "virt-riscv64",
}
#: And of an AArch64 kernel whose pages have 16 KiB, which other CPUs don't have.
PLATFORM_OF_16K_PAGES = "virt-arm64-16k"


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

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Start and end of each range of RAM."""
        low = min(self.size, self.low_limit)
        first = (self.base, self.base + low)
        return (first,) if self.size == low else (first, (self.high_base, self.high_base + self.size - low))


class FirmwareSettings(Model):
    """What the firmware says of itself, and which protocols it offers.

    *start_time* is what GetTime says at power-on. With *direct_boot* the payload is loaded and measured as OVMF does it
    with what QEMU's -kernel names: before boot variables and separators. Without it, it is what a boot option names.
    *boot_hart_protocol* counts on riscv64 only. *hii* stands for the protocols that
    keep programs' strings and compare text. *keys* are pressed on the console's keyboard, one after the other.
    """

    vendor: str = Field(default="efi-shim", max_length=200)
    revision: int = Field(default=0x10000, ge=0, lt=1 << 32)
    start_time: Moment = datetime(2026, 1, 1, tzinfo=UTC)
    stack: Size = 256 << 10
    heap: Annotated[Size, Field(ge=0)] = 0
    console: bool = True
    keys: KeyScript = ""
    direct_boot: bool = False
    rng: bool = True
    memory_attribute: bool = True
    hii: bool = True
    boot_hart_protocol: bool = True
    runtime_services: int = Field(default=0x3FFF, ge=0, le=0x3FFF)


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
    """A machine and its firmware; *exception_level* is where an AArch64 payload starts.

    *id_registers* are what an AArch64 CPU tells of itself, where that isn't what its model has.

    *extends* names a ready platform that gives all keys that are not given here.
    """

    extends: str | None = Field(default=None, exclude=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    machine: Literal["x86_64", "i386", "aarch64", "arm", "riscv64"] = "x86_64"
    exception_level: Literal[1, 2] = 1
    cpu: Literal[
        "nehalem",
        "westmere",
        "sandybridge",
        "cortex-a53",
        "cortex-a57",
        "cortex-a72",
        "cortex-a7",
        "cortex-a15",
        "rv64",
        "sifive-u54",
    ] = "westmere"
    memory: Memory = Memory()
    firmware: FirmwareSettings = FirmwareSettings()
    secure_boot: SecureBoot = SecureBoot()
    variables: tuple[VariableSettings, ...] = ()
    tables: tuple[TableSettings, ...] = ()
    acpi: tuple[AcpiTable, ...] = ()
    smbios: Blob | None = None
    tpm: Tpm | None = None
    cc: ConfidentialComputing | None = None
    slaunch: SecureLaunch | None = None
    disk: tuple[DiskSettings, ...] = Field(default=(), max_length=MAX_DISKS)
    boot: tuple[BootEntry, ...] = Field(default=(), max_length=64)
    device_tree: Node | None = None
    id_registers: dict[IdRegister, Annotated[Size, Field(ge=0, lt=1 << 64)]] | None = None
    graphics: Graphics | None = None

    @model_validator(mode="before")
    @classmethod
    def _has_a_cpu(cls, data: object) -> object:
        if isinstance(data, dict) and "cpu" not in data:
            models = CPU_MODELS.get(str(data.get("machine")))
            return {**data, "cpu": models[0]} if models else data
        return data

    @field_validator("cpu")
    @classmethod
    def _cpu_fits(cls, cpu: str, others: ValidationInfo) -> str:
        models = CPU_MODELS.get(others.data.get("machine", ""))
        if models and cpu not in models:
            raise ValueError(f"{cpu} is no model of {others.data['machine']}: {', '.join(models)}")
        return cpu

    @model_validator(mode="after")
    def _has_what_is_told(self) -> Self:
        if self.exception_level != 1 and self.machine != "aarch64":
            raise ValueError(f"{self.machine} has no exception level {self.exception_level}")
        if self.id_registers and self.machine != "aarch64":
            raise ValueError(f"{self.machine} has no id_registers")
        return self

    @model_validator(mode="after")
    def _can_launch(self) -> Self:
        if self.slaunch is not None and (self.tpm is None or self.machine != "x86_64"):
            raise ValueError("slaunch is for x86_64, with a TPM")
        return self

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

    def with_keys(self, keys: str) -> Platform:
        """The same machine with other keys pressed on it; raises ValueError."""
        parse_keys(keys)
        return self.model_copy(update={"firmware": self.firmware.model_copy(update={"keys": keys})})

    def with_disks(self, disks: Iterable[DiskSettings]) -> Platform:
        """The same machine with other disks; raises UsageError for too many."""
        given = tuple(disks)
        if len(given) > MAX_DISKS:
            raise UsageError(f"{len(given)} disks; {MAX_DISKS} are the most")
        return self.model_copy(update={"disk": given})

    def with_disks_again(self, disks: Sequence[DiskSettings]) -> Platform:
        """The disks that a run had, from where they lie now; raises MissingError for another number of them."""
        if len(disks) != len(self.disk):
            raise MissingError(f"the run had {len(self.disk)} disks: give each with --disk, in the same order")
        # A path doesn't say how large an image's blocks are, and the run does.
        known = zip(disks, self.disk, strict=True)
        return self.with_disks([each.model_copy(update={"block_size": old.block_size}) for each, old in known])


def load_platform(name: str) -> Platform:
    """A platform by the name of a ready one or the path of a TOML file.

    Raises:
        UsageError: no such platform, or what the file says makes no sense.
        UnreadableError: a file can't be read.
    """
    if name in ready.names():
        return _parse(ready.text(name), name, None)
    path = Path(name)
    if not name.endswith(".toml"):
        raise UsageError(f"there is no platform {name!r}; ready ones: {', '.join(ready.names())}, or give a .toml file")
    return _parse(_read(path, MAX_BLOB).decode("utf-8", "replace"), name, path.parent)


def _parse(text: str, name: str, folder: Path | None) -> Platform:
    try:
        data = ready.extended(tomllib.loads(text), name)
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
    """Put the content of files where the platform names them, so that nothing of it lies elsewhere but disks."""
    keys = data.get("secure_boot")
    if isinstance(keys, dict) and folder is not None:
        secure_boot.fill_in(keys, folder, lambda path: _read(path, MAX_BLOB))
    for value in data.values():
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                continue
            for kind in ("image", "folder"):
                if folder is not None and isinstance(each.get(kind), str):
                    each[kind] = str(folder / each[kind])
            if isinstance(each.get("file"), str) and "data" not in each and folder is not None:
                each["data"] = _read(folder / each.pop("file"), MAX_BLOB).hex()
    for part, registers, key in (("tpm", (0, 2), "pcr"), ("cc", (1,), "mr")):
        settings = data.get(part)
        if isinstance(settings, dict) and isinstance(settings.get("log"), str) and folder is not None:
            path = folder / settings.pop("log")
            try:
                told = events_of(_read(path, MAX_BLOB), registers, key)
            except ValueError as why:
                raise UsageError(f"{path}: {why}") from None
            given = settings.get("events", [])
            settings["events"] = [*told, *(given if isinstance(given, list) else [])]


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
