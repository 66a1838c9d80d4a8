"""Runtime services that a guest can call: real code where the firmware had its gates, in QEMU's memory alone."""

from __future__ import annotations

import struct
from importlib import resources
from typing import TYPE_CHECKING

from efi_services.abi import ABIS, GATE_STEP
from efi_services.guids import RT_PROPERTIES_TABLE
from efi_services.memory_map import PAGE, MemoryType
from efi_services.system_table import RUNTIME_PROPERTY_BITS, SystemTable, TableHeader
from efi_services.variables import RUNTIME_ACCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.boot.given import Given, Variable

#: What the code does. It has one behaviour for each of the others: EFI_UNSUPPORTED.
SERVICES = frozenset(("GetTime", "GetVariable", "GetNextVariableName", "SetVirtualAddressMap", "ResetSystem"))
_OF_VARIABLES = frozenset(("GetVariable", "GetNextVariableName"))
#: What is put behind the code, in the order of guest/runtime.c.
_PARAMETERS = struct.Struct("<6Q")
#: How often the counter that GetTime reads counts in a second; a PC has a clock of its own.
_TICKS = {"x86_64": 1, "aarch64": 62_500_000, "riscv64": 10_000_000}


def patches(given: Given, read: Callable[[int, int], bytes]) -> Iterator[tuple[int, bytes]]:
    """What to write where, for memory as *read* has it: the code, and the table that tells what it can do.

    Where the gates are gone, a guest has seen to that, and the table says that nothing can be called.
    """
    properties = given.state.configuration_tables.get(str(RT_PROPERTIES_TABLE))
    offered = SERVICES
    gates = _gates(given, read)
    if gates is None:
        offered = frozenset()
    else:
        visible = [each for each in given.state.variables if each.attributes & RUNTIME_ACCESS]
        code = _code(given, gates, visible, read)
        if len(code) > PAGE:
            offered -= _OF_VARIABLES
            code = _code(given, gates, [], read)
        yield gates, code.ljust(PAGE, b"\0")
    if properties is not None:
        before = int.from_bytes(read(properties + 4, 4), "little")
        now = before & sum(1 << bit for bit, name in enumerate(RUNTIME_PROPERTY_BITS) if name in offered)
        yield properties + 4, now.to_bytes(4, "little")


def _gates(given: Given, read: Callable[[int, int], bytes]) -> int | None:
    """The page of the runtime services' gates."""
    gate = ABIS[given.state.architecture].return_instruction.ljust(GATE_STEP, b"\xcc")
    for each in given.state.memory_map:
        if each.type == MemoryType.RuntimeServicesCode:
            for at in range(each.start, each.start + each.pages * PAGE, PAGE):
                if read(at, PAGE) == gate * (PAGE // GATE_STEP):
                    return at
    return None


def _code(given: Given, gates: int, variables: list[Variable], read: Callable[[int, int], bytes]) -> bytes:
    state, platform = given.state, given.platform
    abi = ABIS[state.architecture]
    system = state.system_table
    # Once addresses are virtual, the code has no table to change any more.
    table = int.from_bytes(read(system + SystemTable.offsetof(abi, "runtime_services"), 8), "little")
    physical = int.from_bytes(read(table + TableHeader.sizeof(abi), 8), "little") == gates
    built = (resources.files("shim.boot.guest") / "built" / f"runtime-{state.architecture}.bin").read_bytes()
    assert len(built) >= len(RUNTIME_PROPERTY_BITS) * GATE_STEP + _PARAMETERS.size
    return (
        built[: -_PARAMETERS.size]
        + _PARAMETERS.pack(
            system, table if physical else 0, gates, int(platform.firmware.start_time.timestamp()),
            _TICKS[state.architecture], platform.exception_level,
        )
        + b"".join(map(_variable, variables))
        + bytes(4)
    )  # fmt: skip


def _variable(variable: Variable) -> bytes:
    name, data = (variable.name + "\0").encode("utf-16-le", "surrogatepass"), bytes.fromhex(variable.data)
    size = -(-(32 + len(name) + len(data)) // 4) * 4
    head = struct.pack("<II16sII", size, variable.attributes, variable.vendor.bytes_le, len(name), len(data))
    return (head + name + data).ljust(size, b"\0")
