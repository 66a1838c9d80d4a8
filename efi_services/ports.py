"""What the firmware needs from outside: small interfaces that the machine, or a test, fills."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Flag, auto
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from efi_services.dispatch import Call
    from efi_services.tcg.algorithms import Algorithm
    from efi_services.tcg.measurer import Extension


class MemoryFault(Exception):
    """The firmware was made to touch an address that is no guest memory."""

    def __init__(self, address: int, size: int, *, write: bool) -> None:
        super().__init__(f"{'write' if write else 'read'} of {size} bytes at {address:#x}, which is no memory")
        self.address = address
        self.size = size
        self.write = write


class Access(Flag):
    """What guest code may do with a page."""

    NONE = 0
    READ = auto()
    WRITE = auto()
    EXECUTE = auto()
    RW = READ | WRITE
    RX = READ | EXECUTE
    RWX = READ | WRITE | EXECUTE


class Memory(Protocol):
    """Guest memory by physical address, which is identity-mapped while boot services last.

    The two counters only grow; a call's traffic is their difference.
    """

    bytes_read: int
    bytes_written: int

    def read(self, address: int, size: int) -> bytes:
        """*size* bytes at *address*; raises MemoryFault outside memory."""

    def view(self, address: int, size: int) -> memoryview:
        """The memory itself, for the firmware's own use: looking at it is no part of what a call reads."""

    def write(self, address: int, data: bytes) -> None:
        """Put *data* at *address*; raises MemoryFault outside memory."""

    def copy(self, destination: int, source: int, size: int) -> None:
        """Move *size* bytes as memmove does."""

    def fill(self, address: int, size: int, value: int) -> None:
        """Set *size* bytes to *value*."""


class Mmu(Protocol):
    """Page permissions, in units of 4096 bytes."""

    def protect(self, start: int, size: int, access: Access) -> None:
        """Give all pages of the range this access."""

    def runs(self, start: int, end: int) -> Iterable[tuple[int, int, Access | None]]:
        """Start and end of the parts of a range whose pages are alike, and what they allow; None: not mapped."""


class Cpu(Protocol):
    """Registers by the names of the architecture's manual."""

    def read(self, names: Sequence[str]) -> Sequence[int]:
        """The registers' values, in the order asked for."""

    def write(self, values: Mapping[str, int]) -> None:
        """Set registers; writing the program counter moves the CPU there."""

    def mask_interrupts(self) -> None:
        """Leave interrupts masked, as ExitBootServices does."""


class Clock(Protocol):
    """Virtual time, in nanoseconds since power-on. It moves by service calls and clock reads only."""

    @property
    def now(self) -> int:
        """Nanoseconds since power-on."""

    def advance(self, nanoseconds: int) -> None:
        """Let time pass."""


class Entropy(Protocol):
    """Random bytes from a seed."""

    def take(self, size: int) -> bytes:
        """The next *size* bytes."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of an image in memory: offset and size in bytes, what code may do there, and what the file says of it."""

    name: str
    offset: int
    size: int
    access: Access
    declared: Access


class ImageFile(Protocol):
    """A PE image that can be placed in memory (PE/COFF, as UEFI 2.10 section 2.1.1 restricts it)."""

    @property
    def architecture(self) -> str:
        """The machine it is for, as `Abi.name` spells it."""

    @property
    def subsystem(self) -> int:
        """10 application, 11 boot service driver, 12 runtime driver."""

    @property
    def size(self) -> int:
        """SizeOfImage in bytes."""

    @property
    def alignment(self) -> int:
        """SectionAlignment in bytes."""

    @property
    def entry(self) -> int:
        """Offset of the entry point."""

    @property
    def compatible_entries(self) -> Mapping[str, int]:
        """Offsets of entry points for firmware of other architectures, which is of another width."""

    @property
    def kernel_entry(self) -> int | None:
        """Offset of the entry of a kernel that may start in place, where its header declares one."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Headers and sections with their permissions."""

    @property
    def fixed_base(self) -> int | None:
        """The only address at which it can lie; None where it can be relocated."""

    @property
    def carried(self) -> tuple[ImageFile, ...]:
        """The images for the same machine that its sections hold, as a unified kernel image holds a kernel."""

    def place(self, base: int) -> bytes:
        """The image as it lies in memory at *base*, relocated; raises ValueError where it can't lie there."""


class ImageReader(Protocol):
    """Understands image files."""

    def read_image(self, data: bytes) -> ImageFile:
        """The image in *data*; raises ValueError with the reason when it is none."""


class Authenticode(Protocol):
    """Digests of images without their signatures, and those."""

    def digest(self, image: bytes, algorithm: str) -> bytes:
        """The Authenticode digest of a PE file by an algorithm such as sha256; raises ValueError where it is none."""

    def signatures(self, image: bytes) -> tuple[bytes, ...] | None:
        """The PKCS #7 signatures of a PE file, None for an unsigned one; raises ValueError where they are damaged."""


class DiskError(Exception):
    """A disk can't be read, or what is on it makes no sense."""


@dataclass(frozen=True, slots=True)
class FileNode:
    """A file or a directory of a tree: *size* in bytes, *attributes* as EFI_FILE_INFO has them.

    *place* is the tree's own: where it finds the node again.
    """

    name: str
    size: int
    place: Hashable
    directory: bool = False
    attributes: int = 0
    short_name: str = ""
    modified: datetime = datetime(1980, 1, 1)  # noqa: DTZ001 - FAT knows no time zones


class FileTree(Protocol):
    """Files that can be read, and nothing else: a FAT volume, or a folder of the host. Sizes are bytes."""

    @property
    def label(self) -> str:
        """The volume's label."""

    @property
    def size(self) -> int:
        """How large the volume is."""

    @property
    def block_size(self) -> int:
        """The unit in which it gives room to files."""

    @property
    def root(self) -> FileNode:
        """The root directory."""

    def children(self, directory: FileNode) -> Sequence[FileNode]:
        """What a directory holds, without `.` and `..`; raises DiskError."""

    def read(self, file: FileNode, offset: int, size: int) -> bytes:
        """Up to *size* bytes of a file, fewer at its end; raises DiskError."""


class BlockDevice(Protocol):
    """Blocks that can be read."""

    @property
    def block_size(self) -> int:
        """Bytes of a block."""

    @property
    def blocks(self) -> int:
        """How many there are."""

    def read(self, block: int, count: int) -> bytes:
        """The bytes of *count* blocks from *block* on, all of which there are; raises DiskError."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of the machine: the device path of where it is attached, without an end node, and what is on it."""

    path: bytes
    device: BlockDevice


class TpmTransport(Protocol):
    """Where a TPM 2.0 is."""

    def transmit(self, command: bytes, locality: int = 0) -> bytes:
        """What the TPM answers to a command."""

    def launch(self, measured: bytes) -> None:
        """A dynamic launch: PCRs 17 to 22 begin anew, and *measured* goes into 17, from locality 4."""

    def resume(self, values: Mapping[int, Mapping[Algorithm, bytes]]) -> None:
        """Let PCRs hold what they held when they were read last, of a TPM that was not reset since."""

    def release(self) -> None:
        """Let go of the locality that commands came from."""

    @property
    def locality(self) -> int | None:
        """The locality that is held, None for none."""


class Observer(Protocol):
    """Watches what crosses the border."""

    def call_begins(self, call: Call) -> None:
        """A service has been entered; its arguments are not decoded yet."""

    def call_ends(self, call: Call) -> None:
        """The same service is about to return."""

    def console(self, text: str) -> None:
        """The guest wrote to its console."""

    def finding(self, kind: str, detail: str) -> None:
        """Something happened that an auditor wants to know."""

    def region_born(
        self, start: int, end: int, kind: str, memory_type: str, name: str = "", access: Access = Access.RW
    ) -> None:
        """Bytes got an owner; *name* says what they are, where that is known, *access* what code may do there."""

    def region_named(self, address: int, name: str) -> None:
        """The bytes at *address* belong to something that holds *name* from now on."""

    def provided(self, name: str, address: int, data: bytes) -> None:
        """The guest got something from outside: what, where it lies, and the bytes."""

    def region_died(self, start: int, end: int) -> None:
        """Whatever of this range had an owner has none any more."""

    def measured(self, extension: Extension) -> None:
        """A measurement register was extended."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside, as the firmware gets it. Without *tpm*, a platform's TPM is our model."""

    cpu: Cpu
    memory: Memory
    mmu: Mmu
    clock: Clock
    entropy: Entropy
    reader: ImageReader
    observer: Observer
    authenticode: Authenticode | None = None
    tpm: TpmTransport | None = None
    disks: tuple[Disk, ...] = ()
