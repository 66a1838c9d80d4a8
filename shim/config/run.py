"""run.json: one model for writing, reading and the published JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

SCHEMA = "efi-shim/run/1"


def _parse_hex(value: object) -> object:
    return int(value, 16) if isinstance(value, str) else value


HexInt = Annotated[
    int,
    BeforeValidator(_parse_hex),
    PlainSerializer(lambda value: f"{value:#x}", return_type=str),
    Field(json_schema_extra={"pattern": "^0x[0-9a-f]+$"}),
]


class Model(BaseModel):
    """What all parts have in common; unknown keys of later versions are let through."""

    # Most parts are only ever used by the whole, so none is built before it is used by itself.
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class PayloadInfo(Model):
    """What ran: the catalogue's name or the file's base name, and what the file is."""

    name: str
    sha256: str
    kind: str
    machine: str
    version: str | None
    size: int


class PlatformInfo(Model):
    """On what it ran; platform.toml in the folder holds all of it."""

    name: str
    sha256: str


class InputInfo(Model):
    """What else went in: the command line, the initrd's digest, the seed.

    *boot* is what of the platform's disks was booted: `disk:` and a file's path, or by itself for the boot manager.
    *unprivileged* says that the payload ran in user mode. *stages* are those that were asked for.
    """

    cmdline: str | None
    initrd_sha256: str | None
    initrd_size: int | None
    seed: int
    boot: str | None = None
    unprivileged: bool = False
    stages: list[str] = Field(default_factory=list)


class Outcome(Model):
    """How it ended. *status* is the EFI status where the payload gave one, or the firmware's that refused it.

    *stopped* says that a stage in between did not let the kernel start.
    """

    kind: Literal["kernel-entry", "returned", "exited", "fault", "budget", "reset", "refused", "stopped"]
    status: str | None
    detail: str


class Handoff(Model):
    """The state at the kernel's first instruction. *entered_from* is the block that jumped there."""

    entry: HexInt | None = None
    registers: dict[str, HexInt] = Field(default_factory=dict)
    entered_from: HexInt | None = None


class Written(Model):
    """Memory that a stage wrote, and the SHA-256 of what lay there when it was done."""

    address: HexInt
    size: int
    sha256: str


class RegisterChange(Model):
    """A register that a stage set."""

    before: HexInt
    after: HexInt


class StageReport(Model):
    """What a stage between ExitBootServices and the kernel did, and the sentences that it had written down."""

    name: str
    written: list[Written]
    registers: dict[str, RegisterChange]
    notes: list[str]


class Dlme(Model):
    """What was described to be launched: *start* to *end* is measured, *table* is the address of boot_params."""

    base: HexInt
    start: HexInt
    end: HexInt
    entry: HexInt
    table: HexInt


class Condition(Model):
    """A condition of a dynamic launch or of kexec, and what it came to when it was judged last."""

    rule: str
    outcome: Literal["ok", "failed", "not-applicable"]
    sentence: str


class Launch(Model):
    """A dynamic launch on a platform that has what it takes. Without *conditions* none was asked for.

    *form* is how stubs of the generation *kernel* ask for it, *launched* whether the kernel was entered by it.
    """

    kernel: str
    architecture: str
    form: Literal["protocol", "handler"]
    launched: bool
    dlme: Dlme | None
    conditions: list[Condition]


class ChainLink(Model):
    """An earlier kernel of a chain: what it was, and the digest of memory at its entry."""

    payload: PayloadInfo
    memory_digest: str


class Segment(Model):
    """What was loaded for kexec: *size* bytes, and *memory_size* with the zeroes behind them."""

    name: str
    size: int
    memory_size: int


class ImaBuffer(Model):
    """The measurement list that was handed over: where, how large, and what it comes to in PCR 10."""

    address: HexInt
    size: int
    entries: int
    pcr_10: dict[str, str]


class Kexec(Model):
    """How this run follows another: the *segments*, their *sha256* as purgatory has it, and the list."""

    segments: list[Segment]
    sha256: str
    ima: ImaBuffer
    relaunch: bool
    conditions: list[Condition]
    left_behind: list[str]


class Calls(Model):
    """Service calls: how many, of which services, and which of them are not implemented."""

    count: int
    by_name: dict[str, int]
    unimplemented: dict[str, int]


class Accesses(Model):
    """Memory accesses of the CPU; all but *level* is null at level calls."""

    level: Literal["calls", "exact"]
    count: int | None = None
    reads: int | None = None
    writes: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    digest: str | None = None
    kept: bool | None = None


class Privileged(Model):
    """Privileged instructions of a payload that ran in user mode: how many were performed, and of which kinds."""

    count: int
    by_name: dict[str, int]


class MemoryInfo(Model):
    """Guest memory at the end of the run."""

    ram_bytes: int
    allocated_peak_bytes: int
    digest: str


class Measurement(Model):
    """One extend of a measurement register."""

    pcr: int | None
    mr: int | None
    type: str
    digests: dict[str, str]
    description: str
    call: int | None


class ImageDecision(Model):
    """What Secure Boot decided on an image: its path, whether it was allowed, and why."""

    image: str
    allowed: bool
    reason: str


class SecureBootReport(Model):
    """Secure Boot at the end of the run, and its decisions in their order."""

    enabled: bool = False
    mode: Literal["setup", "audit", "user", "deployed"] = "setup"
    images: list[ImageDecision] = Field(default_factory=list)


class Finding(Model):
    """Something that an auditor wants to know: its kind, the first case in words, and how many there were."""

    kind: str
    first: str
    first_call: int | None
    count: int


class EngineUse(Model):
    """Which emulator and recorder ran, and whether everything the guest saw was the model's."""

    unicorn: str
    patched: bool
    recorder: str
    blocks: int
    deterministic: bool


class Timing(Model):
    """Seconds on the host; the only part that differs between two equal runs."""

    wall_s: float
    emulation_s: float
    services_s: float


class RunReport(Model):
    """The description of a run."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    payload: PayloadInfo
    platform: PlatformInfo
    inputs: InputInfo
    outcome: Outcome
    boot_services_exited: bool
    handoff: Handoff
    stages: list[StageReport] = Field(default_factory=list)
    launch: Launch | None = None
    chain: list[ChainLink] = Field(default_factory=list)
    kexec: Kexec | None = None
    calls: Calls
    accesses: Accesses
    privileged: Privileged | None = None
    memory: MemoryInfo
    findings: list[Finding]
    measurements: list[Measurement]
    secure_boot: SecureBootReport = SecureBootReport()
    console: str
    engine: EngineUse
    timing: Timing

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    def to_json(self) -> str:
        """The text of run.json."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema of run.json as it is written."""
        return cls.model_json_schema(by_alias=True, mode="serialization")
