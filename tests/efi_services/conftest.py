"""A machine without a CPU: the firmware's ports over a bytearray, and a guest that calls services by the ABI.

The guest knows the specification only: it finds each service by the offset that UEFI 2.10 gives it, passes
arguments in registers and on a stack, and runs Python functions where the firmware wants guest code to run.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
import uuid
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

from efi_services.abi import I386, X86_64
from efi_services.device_path import END, pci
from efi_services.firmware import Firmware, Ports
from efi_services.guids import DEVICE_PATH
from efi_services.memory_map import PAGE, RAM, MemoryType, Range
from efi_services.platform import Measuring, Platform
from efi_services.ports import Access, Disk, DiskError, FileNode, MemoryFault, Segment
from efi_services.status import EfiError
from efi_services.tcg.algorithms import Algorithm

settings.register_profile(
    "firmware", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("firmware")

BASE, SIZE = 0x10_0000, 0x40_0000
#: The guest's own: its stack at the top, and what it hands to services.
SCRATCH_END = BASE + 0x2_0000
#: Below the stack: where the guest lets memory maps be put.
MAP_AT, MAP_ROOM = BASE + 0x1_4000, 0x4000
#: Guest functions have addresses where no memory is: nothing of them is ever read.
FUNCTIONS = 0x7000_0000
RETURNS = 0x7800_0000
LAST_MOMENT = (1 << 64) - 1

# Offsets and slot orders of UEFI 2.10 for 64-bit processors: sections 4.4 and 4.5, and those of each protocol.
BOOT_SERVICES = {
    24: "RaiseTPL", 32: "RestoreTPL", 40: "AllocatePages", 48: "FreePages", 56: "GetMemoryMap", 64: "AllocatePool",
    72: "FreePool", 80: "CreateEvent", 88: "SetTimer", 96: "WaitForEvent", 104: "SignalEvent", 112: "CloseEvent",
    120: "CheckEvent", 128: "InstallProtocolInterface", 136: "ReinstallProtocolInterface",
    144: "UninstallProtocolInterface", 152: "HandleProtocol", 160: None, 168: "RegisterProtocolNotify",
    176: "LocateHandle", 184: "LocateDevicePath", 192: "InstallConfigurationTable", 200: "LoadImage",
    208: "StartImage", 216: "Exit", 224: "UnloadImage", 232: "ExitBootServices", 240: "GetNextMonotonicCount",
    248: "Stall", 256: "SetWatchdogTimer", 264: "ConnectController", 272: "DisconnectController",
    280: "OpenProtocol", 288: "CloseProtocol", 296: "OpenProtocolInformation", 304: "ProtocolsPerHandle",
    312: "LocateHandleBuffer", 320: "LocateProtocol", 328: "InstallMultipleProtocolInterfaces",
    336: "UninstallMultipleProtocolInterfaces", 344: "CalculateCrc32", 352: "CopyMem", 360: "SetMem",
    368: "CreateEventEx",
}  # fmt: skip
RUNTIME_SERVICES = {
    24: "GetTime", 32: "SetTime", 40: "GetWakeupTime", 48: "SetWakeupTime", 56: "SetVirtualAddressMap",
    64: "ConvertPointer", 72: "GetVariable", 80: "GetNextVariableName", 88: "SetVariable",
    96: "GetNextHighMonotonicCount", 104: "ResetSystem", 112: "UpdateCapsule", 120: "QueryCapsuleCapabilities",
    128: "QueryVariableInfo",
}  # fmt: skip
SYSTEM_TABLE = {
    "header": 0, "firmware_vendor": 24, "firmware_revision": 32, "console_in_handle": 40, "con_in": 48,
    "console_out_handle": 56, "con_out": 64, "standard_error_handle": 72, "std_err": 80, "runtime_services": 88,
    "boot_services": 96, "number_of_table_entries": 104, "configuration_table": 112,
}  # fmt: skip
PROTOCOLS = {
    "EFI_SIMPLE_TEXT_INPUT_PROTOCOL": ("Reset", "ReadKeyStroke", "WaitForKey"),
    "EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL": (
        "Reset", "ReadKeyStrokeEx", "WaitForKeyEx", "SetState", "RegisterKeyNotify", "UnregisterKeyNotify",
    ),
    "EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL": (
        "Reset", "OutputString", "TestString", "QueryMode", "SetMode", "SetAttribute", "ClearScreen",
        "SetCursorPosition", "EnableCursor", "Mode",
    ),
    "EFI_LOAD_FILE2_PROTOCOL": ("LoadFile",),
    "RISCV_EFI_BOOT_PROTOCOL": ("Revision", "GetBootHartId"),
    "EFI_RNG_PROTOCOL": ("GetInfo", "GetRNG"),
    "EFI_MEMORY_ATTRIBUTE_PROTOCOL": ("GetMemoryAttributes", "SetMemoryAttributes", "ClearMemoryAttributes"),
    "EFI_SECURITY_ARCH_PROTOCOL": ("FileAuthenticationState",),
    "EFI_SECURITY2_ARCH_PROTOCOL": ("FileAuthentication",),
    "EFI_TCG2_PROTOCOL": (
        "GetCapability", "GetEventLog", "HashLogExtendEvent", "SubmitCommand", "GetActivePcrBanks", "SetActivePcrBanks",
        "GetResultOfSetActivePcrBanks",
    ),
    "EFI_SIMPLE_FILE_SYSTEM_PROTOCOL": ("Revision", "OpenVolume"),
    "EFI_DEVICE_PATH_UTILITIES_PROTOCOL": (
        "GetDevicePathSize", "DuplicateDevicePath", "AppendDevicePath", "AppendDeviceNode", "AppendDevicePathInstance",
        "GetNextDevicePathInstance", "IsDevicePathMultiInstance", "CreateDeviceNode",
    ),
    "EFI_DEVICE_PATH_TO_TEXT_PROTOCOL": ("ConvertDeviceNodeToText", "ConvertDevicePathToText"),
    "EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL": ("ConvertTextToDeviceNode", "ConvertTextToDevicePath"),
    "EFI_BLOCK_IO_PROTOCOL": ("Revision", "Media", "Reset", "ReadBlocks", "WriteBlocks", "FlushBlocks"),
    "EFI_DISK_IO_PROTOCOL": ("Revision", "ReadDisk", "WriteDisk"),
    "EFI_FILE_PROTOCOL": (
        "Revision", "Open", "Close", "Delete", "Read", "Write", "GetPosition", "SetPosition", "GetInfo", "SetInfo",
        "Flush", "OpenEx", "ReadEx", "WriteEx", "FlushEx",
    ),
    "EFI_CC_MEASUREMENT_PROTOCOL": ("GetCapability", "GetEventLog", "HashLogExtendEvent", "MapPcrToMrIndex"),
}  # fmt: skip


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


class Elsewhere(Exception):
    """The CPU returned to a call further out: the Python functions in between are over."""


@dataclass
class Guest:
    """A program that calls the firmware."""

    firmware: Firmware
    memory: FakeMemory
    mmu: FakeMmu
    cpu: FakeCpu
    clock: FakeClock
    entropy: FakeEntropy
    reader: FakeReader
    observer: FakeObserver
    authenticode: FakeAuthenticode
    free: int = BASE + PAGE
    functions: dict = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    payload: int = 0

    def __post_init__(self) -> None:
        self.cpu.registers["rsp"] = SCRATCH_END
        self._returns = itertools.count(RETURNS, 16)
        self._addresses = itertools.count(FUNCTIONS, 16)
        system = self.firmware.system_table
        self.boot_table, self.runtime_table = self.u64(system + 96), self.u64(system + 88)
        self.services = {name: self.u64(self.boot_table + at) for at, name in BOOT_SERVICES.items() if name}
        self.services |= {name: self.u64(self.runtime_table + at) for at, name in RUNTIME_SERVICES.items()}

    # Guest memory.

    def room(self, size=8, fill=0xA5):
        """The address of *size* bytes of garbage."""
        address, self.free = self.free, self.free + (size + 15) // 16 * 16
        assert self.free <= MAP_AT, "the scratch area is full"
        self.memory.data[address - BASE : address - BASE + size] = bytes([fill]) * size
        return address

    def put(self, data):
        """The address of a copy of *data*: bytes, text, a GUID or a number of natural width."""
        if isinstance(data, str):
            data = (data + "\0").encode("utf-16-le")
        elif isinstance(data, uuid.UUID):
            data = data.bytes_le
        elif isinstance(data, int):
            data = struct.pack("<Q", data)
        address = self.room(len(data))
        self.memory.data[address - BASE : address - BASE + len(data)] = data
        return address

    def bytes_at(self, address, size):
        return bytes(self.memory.data[address - BASE : address - BASE + size])

    def u64(self, address):
        return int.from_bytes(self.bytes_at(address, 8), "little")

    def u32(self, address):
        return int.from_bytes(self.bytes_at(address, 4), "little")

    # Calls.

    def call(self, name, *arguments):
        """Call a boot or runtime service; gives the result register."""
        return self.call_at(self.services[name], *arguments)

    def method(self, protocol, name, interface, *arguments):
        """Call a protocol's method on *interface*."""
        return self.call_at(self.u64(interface + 8 * PROTOCOLS[protocol].index(name)), interface, *arguments)

    def function_of(self, protocol, name, interface, *arguments):
        """Call a function of a protocol that doesn't get the interface."""
        return self.call_at(self.u64(interface + 8 * PROTOCOLS[protocol].index(name)), *arguments)

    def call_at(self, address, *arguments):
        """What a compiler makes of a call: section 2.3.4."""
        registers = self.cpu.registers
        outside = dict(registers)
        beyond = arguments[4:]
        stack = (registers["rsp"] - 8 * len(beyond)) & ~15
        stack -= 0x20
        for i, each in enumerate(beyond):
            self._poke(stack + 0x20 + 8 * i, each)
        registers.update(zip(("rcx", "rdx", "r8", "r9"), arguments, strict=False))
        back = next(self._returns)
        self._poke(stack - 8, back)
        registers.update(rsp=stack - 8, rip=address)
        self.waiting.add(back)
        try:
            self._run(back)
        finally:
            self.waiting.discard(back)
        assert registers["rsp"] == stack
        kept = ("rbx", "rbp", "rdi", "rsi", "r12", "r13", "r14", "r15", *(f"xmm{i}" for i in range(6, 16)))
        assert {name: registers[name] for name in kept} == {name: outside[name] for name in kept}
        registers["rsp"] = outside["rsp"]
        return registers["rax"]

    def _poke(self, address, value):
        self.memory.data[address - BASE : address - BASE + 8] = struct.pack("<Q", value & LAST_MOMENT)

    def _run(self, back):
        registers = self.cpu.registers
        while registers["rip"] != back:
            here = registers["rip"]
            if here in self.waiting:
                raise Elsewhere
            if any(start <= here < end for start, end in self.firmware.gate_ranges):
                self.cpu.moved = False
                self.firmware.dispatcher.enter(here)
                if not self.cpu.moved:
                    self._return()
            elif here in self.functions:
                assert registers["rsp"] % 16 == 8
                assert registers["rip"] == here
                arguments = [registers[name] for name in ("rcx", "rdx", "r8", "r9")]
                try:
                    result = self.functions[here](*arguments)
                except Elsewhere:
                    continue
                # Whatever a function may change, it changes.
                registers.update(dict.fromkeys(("rcx", "rdx", "r8", "r9", "r10", "r11"), 0xBAD))
                registers["rax"] = (result or 0) & LAST_MOMENT
                self._return()
            else:
                raise AssertionError(f"the CPU went to {here:#x}, where nothing is")

    def _return(self):
        registers = self.cpu.registers
        registers["rip"] = self.u64(registers["rsp"])
        registers["rsp"] += 8

    def function(self, body):
        """The address of a guest function that does what *body* does, called with four registers."""
        address = next(self._addresses)
        self.functions[address] = body
        return address

    # What many tests do.

    def start(self, **fields):
        """Be the payload: from here on, calls come from a running image. Gives its handle."""
        command_line = fields.pop("command_line", None)
        image = self.image(**{"name": "payload", **fields})
        loaded = self.firmware.load_payload(image.file, "payload.efi", command_line)
        self.cpu.registers["rsp"] = SCRATCH_END
        self.firmware.dispatcher.start(self.firmware.run_payload(loaded))
        assert self.cpu.registers["rip"] == loaded.entry
        self.payload = loaded.handle
        return loaded.handle

    def leave_start(self, value):
        """The payload's entry returns."""
        self.cpu.registers["rax"] = value
        self._return()
        self.firmware.dispatcher.enter(self.cpu.registers["rip"])

    def image(self, **fields):
        """An image that the reader knows."""
        image = FakeImage(**fields)
        self.reader.images[image.file] = image
        return image

    def load(self, main=lambda *_: 0, **fields):
        """LoadImage, with *main* behind the entry point; gives the handle."""
        image = self.image(**fields)
        handle = self.room()
        status = self.call("LoadImage", 0, self.payload, 0, self.put(image.file), len(image.file), handle)
        assert status == 0
        self.functions[self.firmware.images.get(self.u64(handle)).entry] = main
        return self.u64(handle)

    def event(self, kind=0, tpl=0, function=0, context=0):
        """CreateEvent; gives the event. *function* may be Python."""
        if callable(function):
            function = self.function(function)
        at = self.room()
        assert self.call("CreateEvent", kind, tpl, function, context, at) == 0
        return self.u64(at)

    def map_key(self):
        """The key of the memory map by now."""
        key = self.room()
        assert self.call("GetMemoryMap", self.put(MAP_ROOM), MAP_AT, key, self.room(), self.room()) == 0
        return self.u64(key)

    def memory_types(self):
        """The memory map, as a guest finds it: (type, start, pages, attribute) of each descriptor."""
        size = self.put(MAP_ROOM)
        assert self.call("GetMemoryMap", size, MAP_AT, self.room(), self.room(), self.room()) == 0
        data = self.bytes_at(MAP_AT, self.u64(size))
        found = [struct.unpack_from("<I4xQQQQ", data, at) for at in range(0, len(data), 48)]
        return [(kind, start, pages, attribute) for kind, start, _, pages, attribute in found]

    def exit_boot_services(self):
        """Leave boot services, which must succeed."""
        assert self.call("ExitBootServices", self.payload, self.map_key()) == 0

    def tables(self):
        """The configuration tables, as a guest finds them: address by GUID."""
        system = self.firmware.system_table
        count, at = self.u64(system + 104), self.u64(system + 112)
        entries = [self.bytes_at(at + 24 * i, 24) for i in range(count)]
        return {uuid.UUID(bytes_le=each[:16]): int.from_bytes(each[16:], "little") for each in entries}

    def protocol(self, guid):
        """LocateProtocol, which must succeed."""
        at = self.room()
        assert self.call("LocateProtocol", self.put(guid), 0, at) == 0
        return self.u64(at)


def make(initrd=None, transport=None, trees=(), disks=(), abi=X86_64, **platform):
    """A guest on a machine that was just switched on; *transport* is where its TPM is, if not our model.

    *trees* are file systems with files, *disks* are devices with blocks.
    """
    ranges = (
        Range(BASE, SCRATCH_END, MemoryType.ReservedMemoryType, RAM),
        Range(SCRATCH_END, BASE + SIZE, MemoryType.ConventionalMemory, RAM),
    )
    parts = {
        "cpu": FakeCpu(),
        "memory": FakeMemory(),
        "mmu": FakeMmu(),
        "clock": FakeClock(),
        "entropy": FakeEntropy(),
        "reader": FakeReader(),
        "observer": FakeObserver(),
        "authenticode": FakeAuthenticode(),
    }
    attached = tuple(Disk(pci(0, 0x10 + i, 0), each) for i, each in enumerate(disks))
    ports = Ports(**parts, tpm=transport, disks=attached)
    firmware = Firmware(abi, Platform("test", **{"ranges": ranges, **platform}), ports, initrd)
    for number, tree in enumerate(trees):
        path = pci(0, 3 + number, 0)
        handle = firmware.install(0, DEVICE_PATH, firmware.store(path + END, MemoryType.BootServicesData, "path"))
        firmware.disks.mount(handle, path, tree)
    return Guest(firmware, **parts)


#: What a platform may have to measure with.
TPM = Measuring("tpm", (Algorithm.SHA1, Algorithm.SHA256))
TDX = Measuring("tdx", (Algorithm.SHA384,))


@pytest.fixture(scope="session")
def measuring():
    """Settings of a TPM and of TDX, as a platform's `tpm` and `cc`."""
    return {"tpm": TPM, "cc": TDX}


@pytest.fixture(scope="session")
def power_on():
    """Makes a guest on a new machine; its arguments are the platform's."""
    return make


@pytest.fixture
def guest():
    """A payload that runs on the ordinary machine."""
    made = make()
    made.start()
    return made


@pytest.fixture(scope="session")
def i386():
    """A 32-bit convention: everything on the stack."""
    return I386


@pytest.fixture(scope="session")
def attempt():
    """Calls a function; gives its result, or None and the status with which it refused."""

    def call(function, *arguments, **options):
        try:
            return function(*arguments, **options), None
        except EfiError as refusal:
            return None, refusal.status

    return call


@pytest.fixture(scope="session")
def specification():
    """What UEFI 2.10 says of tables."""
    return SimpleNamespace(
        boot=BOOT_SERVICES, runtime=RUNTIME_SERVICES, system=SYSTEM_TABLE, protocols=PROTOCOLS, base=BASE, size=SIZE,
        scratch_end=SCRATCH_END, page=PAGE,
    )  # fmt: skip


@pytest.fixture(scope="session")
def fakes():
    """The fakes by themselves."""
    return SimpleNamespace(
        Memory=FakeMemory, Clock=FakeClock, Mmu=FakeMmu, Cpu=FakeCpu, Tree=FakeTree, files=FILES, Device=FakeDevice
    )
