"""A program that calls the firmware, written in Python, and the machine that it runs on."""

from __future__ import annotations

import itertools
import struct
import uuid
from dataclasses import dataclass, field

from efi_services.abi import X86_64
from efi_services.device_path import END, pci
from efi_services.firmware import Firmware
from efi_services.guids import DEVICE_PATH
from efi_services.memory_map import PAGE, RAM, MemoryType, Range
from efi_services.platform import Platform
from efi_services.ports import Disk, Ports
from fakes import (
    BASE,
    LAST_MOMENT,
    SIZE,
    FakeAuthenticode,
    FakeClock,
    FakeCpu,
    FakeEntropy,
    FakeImage,
    FakeMemory,
    FakeMmu,
    FakeObserver,
    FakeReader,
)
from specification import BOOT_SERVICES, PROTOCOLS, RUNTIME_SERVICES

#: The guest's own: its stack at the top, and what it hands to services.
SCRATCH_END = BASE + 0x2_0000
#: Below the stack: where the guest lets memory maps be put.
MAP_AT, MAP_ROOM = BASE + 0x1_4000, 0x4000
#: Guest functions have addresses where no memory is: nothing of them is ever read.
FUNCTIONS = 0x7000_0000
RETURNS = 0x7800_0000


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
            if any(start <= here < end for start, end in self.firmware.gates.ranges):
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
