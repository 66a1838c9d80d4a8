"""What a platform measures into: a TPM, or registers of confidential computing, and what is known of its firmware."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import EventType
from efi_services.tcg.registers import MR_NAMES
from shim.config.values import Model, Size

BankName = Literal["sha1", "sha256", "sha384", "sha512"]
Digests = dict[BankName, str]


class MeasuredEvent(Model):
    """An event of the firmware's own code: its type by name or number, and its data in hexadecimal.

    The digests, by algorithm and in hexadecimal, are of the data where they are not given.
    """

    type: str | int
    data: str = ""
    digests: Digests = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_an_event(self) -> Self:
        try:
            _ = self.number, self.content
        except (KeyError, ValueError):
            raise ValueError("no event: type is a name as EV_POST_CODE, data is hexadecimal") from None
        _check_digests(self.digests)
        return self

    @property
    def number(self) -> int:
        """The type's number."""
        return self.type if isinstance(self.type, int) else EventType[self.type].value

    @property
    def content(self) -> bytes:
        """The data."""
        return bytes.fromhex(self.data)


class TpmEvent(MeasuredEvent):
    """An event of the firmware's own code, measured into a PCR."""

    pcr: int = Field(ge=0, lt=24)


class CcEvent(MeasuredEvent):
    """An event of the firmware's own code, measured into register *mr*, from 1."""

    mr: int = Field(ge=1, le=4)


def _check_digests(given: Digests) -> None:
    for name, value in given.items():
        try:
            size = len(bytes.fromhex(value))
        except ValueError:
            raise ValueError(f"a {name} digest that is not hexadecimal") from None
        if size != Algorithm[name.upper()].size:
            raise ValueError(f"a {name} digest of {size} bytes")


LogSize = Annotated[Size, Field(ge=4 << 10, le=16 << 20)]


class Tpm(Model):
    """A TPM 2.0: our model with these *banks*, or an swtpm that runs already, with those that it has.

    *swtpm* is where its commands go: 127.0.0.1 and a port, or the path of a socket. *interface* is what the ACPI table
    TPM2 says of how the kernel talks to it: QEMU's tpm-tis, or its tpm-crb. What the firmware's own code measures into
    PCR 0 and 2 is the machine's: *events* tells it, or *log*, a file with a log that the machine wrote, or *known*,
    what the PCR holds in the end.
    """

    banks: tuple[BankName, ...] | None = Field(default=None, min_length=1)
    swtpm: str | None = None
    interface: Literal["tis", "crb"] = "tis"
    log_size: LogSize = 64 << 10
    final_events_size: LogSize = 32 << 10
    events: tuple[TpmEvent, ...] = ()
    known: dict[Literal["0", "2"], Digests] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for each in self.known.values():
            _check_digests(each)
        _check_told_once({str(each.pcr) for each in self.events}, set(self.known))
        if self.swtpm is None:
            if len(set(self.active)) != len(self.active):
                raise ValueError("a bank is named twice")
            return self
        if self.banks is not None:
            raise ValueError("an swtpm has its own banks: leave them out")
        check_swtpm(self.swtpm)
        return self

    @property
    def active(self) -> tuple[BankName, ...]:
        """The banks of our model."""
        return self.banks or ("sha1", "sha256")


class ConfidentialComputing(Model):
    """Measurement registers of confidential computing: of Intel TDX, or of Arm CCA.

    TDX hashes by sha384, CCA by sha256 or sha512. *header_index* is the register that the log's header names: 0, or 1
    as OVMF has it. What the firmware's own code measures into RTMR0 or REM0 is the machine's: *events* tells it, or
    *log*, a file with a log that the machine wrote, or *known*, what the register holds in the end. MRTD or RIM are
    never extended, so *known* is the only way to tell them.
    """

    kind: Literal["tdx", "cca"]
    algorithm: Literal["sha256", "sha384", "sha512"] | None = None
    header_index: Literal[0, 1] = 0
    log_size: LogSize = 64 << 10
    final_events_size: LogSize = 32 << 10
    events: tuple[CcEvent, ...] = ()
    known: dict[Literal["mrtd", "rtmr0", "rim", "rem0"], str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [each.lower() for each in MR_NAMES[self.kind]]
        for name, value in self.known.items():
            if name not in names:
                raise ValueError(f"{self.kind} has no register {name}")
            _check_digests({self.hash: value})
        _check_told_once({names[each.mr] for each in self.events}, set(self.known))
        if (self.kind == "tdx") != (self.hash == "sha384"):
            raise ValueError("tdx hashes by sha384, cca by sha256 or sha512")
        return self

    @property
    def hash(self) -> BankName:
        """The algorithm that is used."""
        return self.algorithm or ("sha384" if self.kind == "tdx" else "sha256")


def _check_told_once(by_events: set[str], known: set[str]) -> None:
    for each in sorted(by_events & known):
        raise ValueError(f"register {each} is told twice: by events, and by what it holds in the end")


def check_swtpm(where: str) -> None:
    """Raise ValueError unless an swtpm can be at *where*: on this machine."""
    host, colon, port = where.rpartition(":")
    if "/" not in where and not (colon and port.isdecimal() and 0 < int(port) < 1 << 16 and _is_here(host)):
        raise ValueError("swtpm is 127.0.0.1 and a port, as 127.0.0.1:2321, or the path of a socket")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class SecureLaunch(Model):
    """What is there to launch a kernel dynamically, as TrenchBoot's patches do it; it needs a TPM.

    *kernel* is the generation of the kernels that are meant: 2026 offers them EFI_SLAUNCH_PROTOCOL, 2025 and 2024 an
    SLR table that names a function. *heap* is the size of the TXT heap. *processors* tells of each of the other
    processors whether it waits. Without *boot_processor* the run is not on the boot processor. *dma_protection* says
    whether the chipset can keep devices from memory, *locality* which locality of the TPM the firmware does not let
    go of. With *offered* false a stub finds none of it.
    """

    kernel: Literal["2026", "2025", "2024"] = "2026"
    architecture: Literal["txt", "skinit"] = "txt"
    heap: Annotated[Size, Field(ge=0, le=16 << 20, multiple_of=4096)] = 896 << 10
    processors: tuple[Literal["parked", "running"], ...] = Field(default=(), max_length=1023)
    boot_processor: bool = True
    dma_protection: bool = True
    locality: Annotated[int, Field(ge=0, le=4)] | None = None
    offered: bool = True
