"""Stand-ins for the machine under the firmware: a CPU that is a dictionary, memory that is a bytearray."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from efi_services.memory_map import PAGE
from efi_services.ports import Access, DiskError, FileNode, MemoryFault, Segment

BASE, SIZE = 0x10_0000, 0x40_0000
LAST_MOMENT = (1 << 64) - 1


class FakeMemory:
    """RAM from BASE on; everything else faults."""

    def __init__(self) -> None:
        self.data = bytearray(SIZE)
        self.bytes_read = self.bytes_written = 0

    def _at(self, address, size, *, write):
        if not (address >= BASE and address + size <= BASE + SIZE):
            raise MemoryFault(address, size, write=write)
        return address - BASE

    def read(self, address, size):
        at = self._at(address, size, write=False)
        self.bytes_read += size
        return bytes(self.data[at : at + size])

    def view(self, address, size):
        at = self._at(address, size, write=False)
        return memoryview(self.data)[at : at + size]

    def write(self, address, data):
        at = self._at(address, len(data), write=True)
        self.bytes_written += len(data)
        self.data[at : at + len(data)] = data

    def copy(self, destination, source, size):
        self._at(destination, size, write=True)
        self.write(destination, self.read(source, size))

    def fill(self, address, size, value):
        self._at(address, size, write=True)
        self.write(address, bytes([value]) * size)


class FakeMmu:
    """Permissions of the pages that are mapped."""

    def __init__(self) -> None:
        self.pages = dict.fromkeys(range(BASE, BASE + SIZE, PAGE), Access.RW)

    def protect(self, start, size, access):
        for page in range(max(start, BASE) & -PAGE, min(start + size, BASE + SIZE), PAGE):
            self.pages[page] = access

    def access(self, address):
        return self.pages.get(address & -PAGE)

    def runs(self, start, end):
        """Each page by itself: they may be told in any pieces."""
        for page in range(start, end, PAGE):
            yield page, page + PAGE, self.access(page)


class FakeCpu:
    """Registers, each with garbage of its own in it."""

    def __init__(self) -> None:
        names = ["rip", "rsp", *(f"r{i}" for i in range(8, 16)), *(f"xmm{i}" for i in range(16))]
        names += ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp"]
        self.registers = {name: 0xDEAD_0000_0000_0000 + i for i, name in enumerate(names)}
        self.moved = False
        self.masked = 0

    def read(self, names):
        return [self.registers[name] for name in names]

    def write(self, values):
        assert set(values) <= set(self.registers)
        self.registers.update(values)
        self.moved = self.moved or "rip" in values

    def mask_interrupts(self):
        self.masked += 1


class FakeClock:
    """Time that ends as the machine's own does."""

    def __init__(self) -> None:
        self.now = 0

    def advance(self, nanoseconds):
        assert nanoseconds >= 0
        self.now = min(self.now + nanoseconds, LAST_MOMENT)


class FakeEntropy:
    """Counts."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self, size):
        data = bytes((self.taken + i) & 0xFF for i in range(size))
        self.taken += size
        return data


@dataclass
class FakeImage:
    """An image as the reader would tell of it; its file is a name."""

    name: str = "image"
    architecture: str = "x86_64"
    subsystem: int = 10
    size: int = 0x3000
    alignment: int = 0x1000
    entry: int = 0x1010
    compatible_entries: dict[str, int] = field(default_factory=dict)
    kernel_entry: int | None = None
    fixed_base: int | None = None
    segments: tuple[Segment, ...] = (
        Segment("headers", 0, 0x400, Access.READ, Access.READ),
        Segment(".text", 0x1000, 0x1000, Access.RX, Access.RX),
        Segment(".data", 0x2000, 0x800, Access.RW, Access.RW),
    )
    carried: tuple[FakeImage, ...] = ()
    place_fails: bool = False

    @property
    def file(self):
        return b"MZ" + self.name.encode()

    def place(self, _base):
        if self.place_fails:
            raise ValueError("it can't lie there")
        return self.file.ljust(0x1000, b"h") + b"\x90" * 0x1000 + b"d" * 0x800


class FakeReader:
    """Knows the images that a test has made."""

    def __init__(self) -> None:
        self.images = {}

    def read_image(self, data):
        try:
            return self.images[data]
        except KeyError:
            raise ValueError("it is no image") from None


class FakeAuthenticode:
    """The digest of what is behind MZ; signatures are those that a test has given to the file."""

    def __init__(self) -> None:
        self.signed = {}

    def digest(self, image, algorithm):
        if not image.startswith(b"MZ"):
            raise ValueError("it is no image")
        return hashlib.new(algorithm, image[2:]).digest()

    def signatures(self, image):
        found = self.signed.get(image)
        if found == ():
            raise ValueError("its signatures are damaged")
        return found


class FakeTree:
    """Files by their paths; what ends with a separator is a directory. *broken* are those that can't be read."""

    label, size, block_size = "FAKE", 1 << 20, 512
    root = FileNode("", 0, "", directory=True)

    def __init__(self, files, broken=()):
        self.files, self.broken = files, broken

    def children(self, directory):
        if directory.place in self.broken:
            raise DiskError(f"{directory.place} can't be listed")
        start = f"{directory.place}\\" if directory.place else ""
        names = {each[len(start) :].partition("\\")[0] for each in self.files if each.startswith(start)}
        return [self._node(start + name) for name in sorted(names) if name]

    def _node(self, path):
        name = path.rpartition("\\")[2]
        if path not in self.files:
            return FileNode(name, 0, path, directory=True)
        short = name.upper()[:6] + "~1" if len(name) > 12 else ""
        return FileNode(name, len(self.files[path]), path, attributes=0x20, short_name=short)

    def read(self, file, offset, size):
        if file.place in self.broken:
            raise DiskError(f"{file.place} can't be read")
        return self.files[file.place][offset : offset + size]


class FakeDevice:
    """Blocks that tell their numbers."""

    block_size, blocks = 512, 100

    def read(self, block, count):
        assert block + count <= self.blocks
        return b"".join(i.to_bytes(512, "little") for i in range(block, block + count))


FILES = {
    "EFI\\BOOT\\BOOTX64.EFI": b"MZboot",
    "EFI\\Linux\\a rather long name.efi": b"MZlinux",
    "initrd.img": bytes(range(256)) * 20,
    "empty": b"",
}


class FakeObserver:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.begun, self.ended, self.findings, self.printed, self.regions, self.named = ([] for _ in range(6))
        self.inputs, self.extensions = [], []

    def call_begins(self, call):
        self.begun.append(call)

    def call_ends(self, call):
        self.ended.append(call)

    def console(self, text):
        self.printed.append(text)

    def finding(self, kind, detail):
        self.findings.append((kind, detail))

    def region_born(self, start, end, kind, memory_type, name="", access=None):  # noqa: ARG002 - as the port has it
        self.regions.append((start, end, kind, name or memory_type))

    def region_named(self, address, name):
        self.named.append((address, name))

    def provided(self, name, address, data):
        self.inputs.append((name, address, data))

    def region_died(self, start, end):
        self.regions.append((start, end, None, None))

    def measured(self, extension):
        self.extensions.append(extension)
