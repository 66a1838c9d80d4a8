"""The code of the runtime services, on a CPU: what each gives, wherever the code lies."""

from __future__ import annotations

import struct
import zlib
from uuid import UUID

import pytest
import unicorn
from unicorn import arm64_const, riscv_const, x86_const

from efi_services.tables import RUNTIME_SERVICES
from shim.boot import runtime
from shim.boot.given import Variable
from shim.boot.guest import build

PAGE, CODE, DATA, STACK, RETURN = 4096, 0x40_0000, 0x50_0000, 0x60_0000, 0x70_0000
SYSTEM, TABLE, MAP, ROOM = DATA + 0x400, DATA + 0x200, DATA + 0x800, DATA + 0x1000
VENDOR = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
OTHER = UUID("eb66918a-7eef-402a-842e-931d21c38ae9")
VARIABLES = [
    Variable(name="SecureBoot", vendor=VENDOR, attributes=6, data="01"),
    Variable(name="db", vendor=OTHER, attributes=0x27, data="00112233445566"),
    Variable(name="db", vendor=VENDOR, attributes=7, data=""),
]
SUCCESS, INVALID_PARAMETER, UNSUPPORTED, TOO_SMALL, NOT_FOUND = 0, *(1 << 63 | each for each in (2, 3, 5, 14))
START = 1_767_225_600  # 1 January 2026
NAMES = [each.name for each in RUNTIME_SERVICES]


def register(module, prefix, name):
    return getattr(module, f"UC_{prefix}_REG_{name}")


class Cpu:
    """A CPU with the page of the services at some address, and a way to call them."""

    def __init__(self, architecture, at=CODE):
        self.architecture, self.at = architecture, at
        mode, module, prefix, arguments, self._stack, self._pc = {
            "x86_64": ((unicorn.UC_ARCH_X86, unicorn.UC_MODE_64), x86_const, "X86", "RCX RDX R8 R9", "RSP", "RIP"),
            "aarch64": (
                (unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM), arm64_const, "ARM64", "X0 X1 X2 X3 X4", "SP", "PC",
            ),
            "riscv64": (
                (unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV64), riscv_const, "RISCV", "A0 A1 A2 A3 A4", "SP", "PC",
            ),
        }[architecture]  # fmt: skip
        self._of = lambda name: register(module, prefix, name)
        self._arguments = arguments.split()
        self.uc = uc = unicorn.Uc(*mode)
        uc.mem_map(at, PAGE, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        for start in (DATA, STACK, RETURN):
            uc.mem_map(start, 4 * PAGE)
        built = (build.BUILT / f"runtime-{architecture}.bin").read_bytes()[: -runtime._PARAMETERS.size]
        parameters = runtime._PARAMETERS.pack(SYSTEM, TABLE, CODE, START, 1000, 1)
        uc.mem_write(at, built + parameters + b"".join(map(runtime._variable, VARIABLES)) + bytes(4))

    def call(self, service, *arguments):
        """The status of a service."""
        given = list(arguments)
        top = STACK + 3 * PAGE
        if self.architecture == "x86_64":
            # The caller's address, and room for the arguments that are in registers.
            words = [RETURN, 0, 0, 0, 0, *given[4:]]
            self.uc.mem_write(top, struct.pack(f"<{len(words)}Q", *words))
        else:
            self.uc.reg_write(self._of("X30" if self.architecture == "aarch64" else "RA"), RETURN)
        self.uc.reg_write(self._of(self._stack), top)
        for name, value in zip(self._arguments, given, strict=False):
            self.uc.reg_write(self._of(name), value)
        self.uc.emu_start(self.at + 16 * NAMES.index(service), RETURN, count=100_000)
        assert self.uc.reg_read(self._of(self._pc)) == RETURN, "it goes on for ever"
        return self.uc.reg_read(self._of({"x86_64": "RAX", "aarch64": "X0"}.get(self.architecture, "A0")))

    def get(self, name, vendor, room=100):
        """GetVariable: status, size, attributes, data."""
        self.put(ROOM, (name + "\0").encode("utf-16-le"))
        self.put(ROOM + 0x100, vendor.bytes_le)
        self.put(ROOM + 0x200, struct.pack("<Q", room))
        self.put(ROOM + 0x300, b"\xee" * 64)
        status = self.call("GetVariable", ROOM, ROOM + 0x100, ROOM + 0x208, ROOM + 0x200, ROOM + 0x300)
        size, attributes = struct.unpack("<QI", self.read(ROOM + 0x200, 12))
        return status, size, attributes, self.read(ROOM + 0x300, 64).rstrip(b"\xee")

    def put(self, address, data):
        self.uc.mem_write(address, data)

    def read(self, address, size):
        return bytes(self.uc.mem_read(address, size))


@pytest.fixture(params=build.ARCHITECTURES)
def cpu(request):
    return Cpu(request.param)


@pytest.fixture(params=build.ARCHITECTURES)
def moved(request):
    """As after SetVirtualAddressMap."""
    return Cpu(request.param, 0x1234_5000)


def test_variables_are_found_wherever_the_code_lies(moved):
    for each in VARIABLES:
        data = bytes.fromhex(each.data)
        assert moved.get(each.name, each.vendor) == (SUCCESS, len(data), each.attributes, data)


@pytest.mark.parametrize(
    ("name", "vendor"), [("Secureboot", VENDOR), ("SecureBoot", OTHER), ("", VENDOR), ("d", OTHER)]
)
def test_variables_that_are_not_there(cpu, name, vendor):
    assert cpu.get(name, vendor)[0] == NOT_FOUND


def test_a_buffer_that_is_too_small(cpu):
    assert cpu.get("db", OTHER, 6) == (TOO_SMALL, 7, 0x27, b"")


@pytest.mark.parametrize("missing", [0, 1, 3])
def test_pointers_that_have_to_be_there(cpu, missing):
    pointers = [ROOM, ROOM + 0x100, ROOM + 0x208, ROOM + 0x200, ROOM + 0x300]
    pointers[missing] = 0
    assert cpu.call("GetVariable", *pointers) == INVALID_PARAMETER


def test_names_one_after_the_other(cpu):
    cpu.put(ROOM, bytes(64))
    found = []
    while True:
        cpu.put(ROOM + 0x200, struct.pack("<Q", 64))
        status = cpu.call("GetNextVariableName", ROOM + 0x200, ROOM, ROOM + 0x100)
        if status != SUCCESS:
            break
        (size,) = struct.unpack("<Q", cpu.read(ROOM + 0x200, 8))
        found.append((cpu.read(ROOM, size).decode("utf-16-le"), UUID(bytes_le=cpu.read(ROOM + 0x100, 16))))
    assert status == NOT_FOUND
    assert found == [(f"{each.name}\0", each.vendor) for each in VARIABLES]


def test_a_name_that_is_too_long(cpu):
    cpu.put(ROOM, bytes(64))
    cpu.put(ROOM + 0x200, struct.pack("<Q", 4))
    assert cpu.call("GetNextVariableName", ROOM + 0x200, ROOM, ROOM + 0x100) == TOO_SMALL
    assert struct.unpack("<Q", cpu.read(ROOM + 0x200, 8)) == (22,)


def test_a_name_that_is_none(cpu):
    cpu.put(ROOM, "x\0".encode("utf-16-le"))
    cpu.put(ROOM + 0x200, struct.pack("<Q", 64))
    assert cpu.call("GetNextVariableName", ROOM + 0x200, ROOM, ROOM + 0x100) == INVALID_PARAMETER


@pytest.mark.parametrize("service", sorted(set(NAMES) - runtime.SERVICES))
def test_the_others_are_not_supported(cpu, service):
    assert cpu.call(service, 0, 0, 0, 0) == UNSUPPORTED


def tables(cpu, first=CODE):
    """A runtime table and a system table, as firmware has them."""
    pointers = [first + 16 * n for n in range(14)]
    cpu.put(TABLE, struct.pack("<QIIII14Q", 1, 2, 24 + 14 * 8, 0, 0, *pointers))
    words = [DATA + 0x700, 1, 0, 0, 0, 0, 0, 0, TABLE, 0, 1, DATA + 0x740]
    cpu.put(SYSTEM, struct.pack("<QIIII12Q", 1, 2, 120, 0, 0, *words))
    regions = [(CODE, 1 << 40, 1, 1 << 63), (0, 5 << 40, 1 << 20, 0), (DATA, 2 << 40, 4, 1 << 63)]
    descriptors = [struct.pack("<IIQQQQQ", 0, 0, *each, 0) for each in regions]
    cpu.put(MAP, b"".join(descriptors))
    return 48 * len(descriptors)


def test_pointers_become_virtual(cpu):
    size = tables(cpu)
    assert cpu.call("SetVirtualAddressMap", size, 48, 1, MAP) == SUCCESS
    table, system = cpu.read(TABLE, 24 + 14 * 8), cpu.read(SYSTEM, 120)
    assert struct.unpack_from("<14Q", table, 24) == tuple((1 << 40) + 16 * n for n in range(14))
    words = struct.unpack_from("<12Q", system, 24)
    assert [words[n] for n in (0, 8, 11)] == [(2 << 40) + each for each in (0x700, 0x200, 0x740)]
    for each in (table, system):
        assert struct.unpack_from("<I", each, 16) == (zlib.crc32(each[:16] + bytes(4) + each[20:]),)
    # Once only.
    assert cpu.call("SetVirtualAddressMap", size, 48, 1, MAP) == UNSUPPORTED


@pytest.mark.parametrize(("step", "version", "at"), [(48, 2, MAP), (24, 1, MAP), (48, 1, 0)])
def test_a_map_that_is_none(cpu, step, version, at):
    size = tables(cpu)
    assert cpu.call("SetVirtualAddressMap", size, step, version, at) == INVALID_PARAMETER


def test_no_time_to_write_to(cpu):
    assert cpu.call("GetTime", 0, 0) == INVALID_PARAMETER


def test_the_time_of_the_counter():
    cpu = Cpu("aarch64")
    cpu.put(ROOM + 0x40, b"\xee" * 12)
    assert cpu.call("GetTime", ROOM, ROOM + 0x40) == SUCCESS
    year, month, day = struct.unpack("<HBB", cpu.read(ROOM, 4))
    # Unicorn's counter is the host's, and this one is told that it counts a thousand times in a second.
    assert (year, 1 <= month <= 12, 1 <= day <= 31) >= (2026, True, True)
    assert cpu.read(ROOM + 12, 4) == b"\xff\x07\0\0"
    assert cpu.read(ROOM + 0x40, 9) == struct.pack("<IIB", 1, 0, 0)


def test_the_time_of_a_pc():
    clock = {0: 0x59, 2: 0x34, 4: 0x92, 7: 0x31, 8: 0x12, 9: 0x99, 10: 0, 11: 0, 50: 0x19}
    cpu, chosen = Cpu("x86_64"), []

    def write(_uc, port, _size, value, _data):
        assert port == 0x70
        chosen.append(value)

    cpu.uc.hook_add(unicorn.UC_HOOK_INSN, write, None, 1, 0, x86_const.UC_X86_INS_OUT)
    cpu.uc.hook_add(unicorn.UC_HOOK_INSN, lambda *_: clock[chosen[-1]], None, 1, 0, x86_const.UC_X86_INS_IN)
    assert cpu.call("GetTime", ROOM, 0) == SUCCESS
    # 0x92 is twelve in the afternoon.
    assert struct.unpack("<HBBBBBBIHBB", cpu.read(ROOM, 16)) == (1999, 12, 31, 12, 34, 59, 0, 0, 0x7FF, 0, 0)
