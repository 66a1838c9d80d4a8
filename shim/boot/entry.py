"""How a CPU of QEMU's comes to the state of a hand-off: a program in ROM, and the entry page.

The program waits until memory is filled, and jumps to the entry page. That is a page of boot services' code, which
nobody needs any more, and which the hand-off's page tables let execute. It loads the registers, and jumps to the
kernel.
"""

from __future__ import annotations

import struct
from importlib import resources
from typing import TYPE_CHECKING

from efi_services.memory_map import MemoryType
from efi_services.ports import MemoryFault
from shim.errors import NotRunnableError
from shim.handoff import page_walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shim.boot.given import State

PAGE = 4096
#: Offsets in the entry page, as guest/entry.h has them.
GO_ON, READY, GO = 0x200, 0x400, 0x408
#: What of the map that the program in a PC's ROM runs on: entries present, writable, accessed and dirty; of 2 MiB.
_TABLE_ENTRY, _LARGE_ENTRY = 0x63, 0xE3
_ROM_BYTES, _ROM_ENTRY_PAGE = 0x1_0000, 0xFE8
#: Of the riscv64 machine virt.
_FLASH = 0x2000_0000
ROM_START = (4 << 30) - _ROM_BYTES
_X86_GENERAL = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
)  # fmt: skip
_SPP, _SPIE = 1 << 8, 1 << 5


def place(state: State, view: Callable[[int, int], memoryview]) -> int:
    """The address of a page for the entry; raises NotRunnableError where there is none."""
    registers = state.registers
    try:
        paging = page_walk.of(state.architecture, registers, view)
        for each in state.memory_map:
            if each.type != MemoryType.BootServicesCode:
                continue
            for at in range(each.start, each.start + each.pages * PAGE, PAGE):
                found = page_walk.Page(at, PAGE, executable=True) if paging is None else paging.walk(at)
                if found is not None and found.physical == at and found.executable and at != state.entry & -PAGE:
                    return at
    except (MemoryFault, page_walk.UnknownPagingError) as why:
        raise NotRunnableError(f"the page tables at the kernel entry can't be used: {why}") from None
    raise NotRunnableError("no page of boot services' code can be executed on the page tables at the kernel entry")


def page(state: State, at: int) -> bytes:
    """The entry page for address *at*, whole but for what says that memory is filled."""
    try:
        values = _VALUES[state.architecture](state.registers, at)
    except KeyError as name:
        raise NotRunnableError(f"the hand-off does not tell of register {name}") from None
    return (_program("enter", state.architecture) + values).ljust(PAGE, b"\0")


def rom(architecture: str, at: int) -> bytes:
    """What the CPU executes first, which leads to the entry page at *at*."""
    made = bytearray(_program("reset", architecture))
    if architecture == "x86_64":
        struct.pack_into("<Q", made, _ROM_ENTRY_PAGE, at)
        return _identity_map(at).ljust(_ROM_BYTES - len(made), b"\0") + made
    struct.pack_into("<Q", made, len(made) - 8, at)
    return _elf(bytes(made)) if architecture == "riscv64" else bytes(made)


def _elf(code: bytes) -> bytes:
    """An executable file with *code* for the flash of the machine virt, which its own firmware starts."""
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 243, 1, _FLASH, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 120, _FLASH, _FLASH, len(code), len(code), 8) + code


def _identity_map(at: int) -> bytes:
    """Tables for the ROM's start: the lowest 4 GiB, and the GiB of the entry page."""
    parts = sorted({0, 1, 2, 3, at >> 30})
    tables = {number: ROM_START + (2 + n) * PAGE for n, number in enumerate(parts)}
    pointers = [tables[number] | _TABLE_ENTRY if number in tables else 0 for number in range(512)]
    words = [ROM_START + PAGE | _TABLE_ENTRY, *[0] * 511, *pointers]
    for number in parts:
        words += [(number << 30) + (n << 21) | _LARGE_ENTRY for n in range(512)]
    return struct.pack(f"<{len(words)}Q", *words)


def _x86_values(registers: Mapping[str, int], at: int) -> bytes:
    def all_of(names: tuple[str, ...]) -> bytes:
        return b"".join(registers[each].to_bytes(8, "little") for each in names)

    tables = b"".join(
        struct.pack("<HQ", registers[f"{name}_limit"], registers[f"{name}_base"]).ljust(16, b"\0")
        for name in ("gdt", "idt")
    )
    frame = struct.pack("<3Q", at + GO_ON, registers["cs"], registers["rflags"])
    return (
        all_of(("cr0", "cr3", "cr4", "efer")) + tables + all_of(("ds", "es", "fs", "gs", "ss")) + frame
        + all_of(_X86_GENERAL)
    )  # fmt: skip


def _arm64_values(registers: Mapping[str, int], _at: int) -> bytes:
    level = registers["pstate"] >> 2 & 3
    own = ("ttbr1", "vbar", "cpacr") if level == 1 else ("hcr", "vbar", "cptr")
    names = [
        *(f"x{n}" for n in range(31)), "sp", "pc", "pstate",
        *(f"{each}_el{level}" for each in ("sctlr", "tcr", "mair", "ttbr0", *own)), "sctlr_el1",
    ]  # fmt: skip
    return b"".join(registers[each].to_bytes(8, "little") for each in names)


def _riscv_values(registers: Mapping[str, int], _at: int) -> bytes:
    # It brings the engine, which takes longer than the other machines' hand-offs.
    from shim.machine import riscv64

    # SRET makes the mode and the interrupt flag what these bits say.
    status = registers["sstatus"]
    returning = status | _SPP | (_SPIE if status & riscv64.INTERRUPTS else 0)
    values = {**registers, "sstatus": returning & ~riscv64.INTERRUPTS}
    return b"".join(values[each].to_bytes(8, "little") for each in riscv64.HANDOFF_REGISTERS)


_VALUES: Mapping[str, Callable[[Mapping[str, int], int], bytes]] = {
    "x86_64": _x86_values, "aarch64": _arm64_values, "riscv64": _riscv_values,
}  # fmt: skip


def _program(name: str, architecture: str) -> bytes:
    return (resources.files("shim.boot.guest") / "built" / f"{name}-{architecture}.bin").read_bytes()
