"""What is asked of a run, and what is refused before it begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payloads.pe import compatible_entries
from shim.errors import NotRunnableError, UsageError
from shim.machine.user import USER_MODES

if TYPE_CHECKING:
    from payloads import Payload
    from shim.config.platform import Platform
    from shim.session.from_disk import DiskBoot
    from shim.session.link import Link
    from shim.stages.load import Stage
    from shim.trace.last_writers import LastWriters

#: Characters; a Linux stub cuts at 2048 bytes, other programs may take more.
MAX_COMMAND_LINE = 32767


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be run, on what, and how closely it is watched.

    *recorder* is native, or python: the reference, slower by far, with equal results.
    """

    payload: Payload
    platform: Platform
    cmdline: str | None = None
    initrd: bytes | None = field(default=None, repr=False)
    trace: str = "calls"
    seed: int = 0
    max_seconds: float = 300.0
    max_blocks: int = 1 << 36
    dump_ram: bool = False
    recorder: str = "native"
    #: Store the rows of all accesses, or of those between two calls, but not more than the first so many.
    keep: bool = False
    keep_calls: tuple[int | None, int | None] = (None, None)
    most_rows: int | None = None
    #: Told of all writes, at level exact, by the native recorder.
    watched: LastWriters | None = field(default=None, repr=False)
    #: The run begins on one of the platform's disks, which are open already.
    boot: DiskBoot | None = None
    #: In user mode.
    unprivileged: bool = False
    #: What runs between ExitBootServices and the kernel.
    stages: tuple[Stage, ...] = ()
    #: The run follows another one, by kexec.
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    blocks: int
    calls: int
    seconds: float


def check(request: Request) -> None:
    """Refuse what can't be run: raises NotRunnableError, or UsageError, with the reason."""
    machine = request.payload.machine.value
    if machine == "loongarch64":
        raise NotRunnableError(f"{request.payload.name} is for loongarch64, which Unicorn can't execute")
    compatible = compatible_entries(request.payload.data, request.payload.image)
    if request.platform.machine not in (machine, *compatible):
        raise NotRunnableError(
            f"{request.payload.name} is for {machine}, platform {request.platform.name} is {request.platform.machine}"
        )
    if request.unprivileged and request.platform.machine not in USER_MODES:
        raise NotRunnableError(f"--unprivileged is for {' and '.join(USER_MODES)}, not for {request.platform.machine}")
    if request.unprivileged and request.platform.exception_level > 1:
        raise NotRunnableError(f"--unprivileged: below EL{request.platform.exception_level} there is no EL0 alone")
    if request.cmdline is not None:
        if len(request.cmdline) > MAX_COMMAND_LINE:
            raise UsageError(f"the command line has {len(request.cmdline)} characters; {MAX_COMMAND_LINE} are the most")
        if not request.cmdline.isprintable() and any(ord(each) < 32 and each != "\t" for each in request.cmdline):
            raise UsageError("the command line has control characters")
        try:
            request.cmdline.encode("utf-16-le")
        except UnicodeEncodeError:
            raise UsageError("the command line is not valid UTF-8") from None
    if request.initrd is not None and len(request.initrd) >= request.platform.memory.size:
        raise UsageError(f"the initrd of {len(request.initrd)} bytes is larger than the guest's memory")
