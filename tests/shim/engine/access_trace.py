"""Runs the test programs on whichever libunicorn is loaded, and prints what its memory hooks report, as JSON.

A script of its own, since one process has one engine: ``access_trace.py PROGRAMS.toml HOOK``. HOOK is ``stock``
(UC_HOOK_MEM_READ and UC_HOOK_MEM_WRITE), ``patch`` (UC_HOOK_MEM_ACCESS), ``late`` (the same, added and the
translations dropped after a first run), ``bounded`` (one page's addresses only), ``two`` (another hook beside it),
``removed`` (removed after a first run) or ``none``.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import unicorn
from unicorn import arm64_const, arm_const, riscv_const, x86_const
from unicorn.unicorn_py3.unicorn import uclib

RAM = 0x400000
STACK = 0x300000
TABLES = 0x380000
HOLE = 0x210000  # not mapped by the page tables
READ_ONLY = 0x212000
MOVED, MOVED_TO = 0x214000, 0x216000
PAGE = 0x1000
MEM_ACCESS = 1 << 18
MEM_WRITE = unicorn.unicorn_const.UC_MEM_WRITE
BLOCKS = 2000

_GENERAL = ("AX", "BX", "CX", "DX", "SI", "DI", "BP", "SP")
_X86_64 = [getattr(x86_const, f"UC_X86_REG_R{name}") for name in _GENERAL]
_X86_32 = [getattr(x86_const, f"UC_X86_REG_E{name}") for name in _GENERAL]
_ARM64 = [getattr(arm64_const, f"UC_ARM64_REG_{name}") for name in ("X0", "X1", "X2", "X3", "SP", "NZCV")]
_ARM = [getattr(arm_const, f"UC_ARM_REG_R{number}") for number in range(15)]
_RISCV = [getattr(riscv_const, f"UC_RISCV_REG_X{number}") for number in range(1, 32)]
# Architecture, mode, stack pointer, program counter, registers that are compared.
_X86_REST = (x86_const.UC_X86_REG_ESP, x86_const.UC_X86_REG_EIP, _X86_32)
_ARM_REST = (arm_const.UC_ARM_REG_SP, arm_const.UC_ARM_REG_PC, _ARM)
_RISCV_REST = (riscv_const.UC_RISCV_REG_SP, riscv_const.UC_RISCV_REG_PC, _RISCV)
ARCHES: dict[str, tuple[int, int, int, int, list[int]]] = {
    "x86_64": (
        unicorn.UC_ARCH_X86,
        unicorn.UC_MODE_64,
        x86_const.UC_X86_REG_RSP,
        x86_const.UC_X86_REG_RIP,
        _X86_64,
    ),
    "x86_32": (unicorn.UC_ARCH_X86, unicorn.UC_MODE_32, *_X86_REST),
    "x86_16": (unicorn.UC_ARCH_X86, unicorn.UC_MODE_16, *_X86_REST),
    "arm64": (
        unicorn.UC_ARCH_ARM64,
        unicorn.UC_MODE_ARM,
        arm64_const.UC_ARM64_REG_SP,
        arm64_const.UC_ARM64_REG_PC,
        _ARM64,
    ),
    "arm": (unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM, *_ARM_REST),
    "thumb": (unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, *_ARM_REST),
    "riscv64": (unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV64, *_RISCV_REST),
    "riscv32": (unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32, *_RISCV_REST),
}

STOCK_CALLBACK = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
)
PATCH_CALLBACK = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int, ctypes.c_void_p
)


def pages(address: int, leaf: int, read_only: int, shift: int = 0) -> bytes:
    """Entries for 512 pages, with a hole, a read-only page, and one that lies elsewhere in memory."""
    entries = []
    for page in range(address, address + 512 * PAGE, PAGE):
        frame = MOVED_TO if page == MOVED else page
        entry = read_only if page == READ_ONLY else leaf
        entries.append(0 if page == HOLE else frame >> shift | entry)
    return b"".join(entry.to_bytes(8, "little") for entry in entries)


def write_words(uc: Any, address: int, size: int, words: list[int]) -> None:
    uc.mem_write(address, b"".join(word.to_bytes(size, "little") for word in words))


def page_x86_64(uc: Any) -> None:
    for level in range(2):
        write_words(uc, TABLES + level * PAGE, 8, [TABLES + (level + 1) * PAGE | 3])
    write_words(uc, TABLES + 2 * PAGE, 8, [TABLES + 3 * PAGE | 3, TABLES + 4 * PAGE | 3])
    uc.mem_write(TABLES + 3 * PAGE, pages(0, 3, 1) + pages(512 * PAGE, 3, 1))
    uc.reg_write(x86_const.UC_X86_REG_CR3, TABLES)
    uc.reg_write(x86_const.UC_X86_REG_CR4, 0x620)
    uc.msr_write(0xC0000080, 0xD01)
    uc.reg_write(x86_const.UC_X86_REG_CR0, 0x80010033)


def page_arm64(uc: Any) -> None:
    register = arm64_const.UC_ARM64_REG_CP_REG
    write_words(uc, TABLES, 8, [TABLES + PAGE | 3])
    write_words(uc, TABLES + PAGE, 8, [TABLES + 2 * PAGE | 3, TABLES + 3 * PAGE | 3])
    uc.mem_write(TABLES + 2 * PAGE, pages(0, 0x703, 0x783) + pages(512 * PAGE, 0x703, 0x783))
    # Crn, crm, op0, op1, op2 and value: the exception levels above run in 64 bits, then the translation's registers.
    for crn, crm, op0, op1, op2, value in (
        (1, 1, 3, 6, 0, 0x501),
        (1, 1, 3, 4, 0, 1 << 31),
        (10, 2, 3, 0, 0, 0xFF),
        (2, 0, 3, 0, 2, 25 | 25 << 16 | 1 << 23),
        (2, 0, 3, 0, 0, TABLES),
        (1, 0, 3, 0, 0, 0x30D00801),
    ):
        uc.reg_write(register, (crn, crm, op0, op1, op2, value))


def page_arm(uc: Any) -> None:
    # Sections of 1 MiB; the one of the stack is missing.
    write_words(uc, TABLES, 4, [0x00C02, 0x100C02, 0x200C02, 0])
    register = arm_const.UC_ARM_REG_CP_REG
    # Cp, is64, sec, crn, crm, opc1, opc2, value: TTBR0, DACR, SCTLR.
    for crn, value in ((2, TABLES), (3, 3), (1, 0xC50079)):
        uc.reg_write(register, (15, 0, 0, crn, 0, 0, 0, value))


def page_riscv64(uc: Any) -> None:
    write_words(uc, TABLES, 8, [TABLES + PAGE >> 2 | 1])
    write_words(uc, TABLES + PAGE, 8, [TABLES + 2 * PAGE >> 2 | 1, TABLES + 3 * PAGE >> 2 | 1])
    uc.mem_write(TABLES + 2 * PAGE, pages(0, 0xCF, 0xC3, 2) + pages(512 * PAGE, 0xCF, 0xC3, 2))
    uc.reg_write(riscv_const.UC_RISCV_REG_SATP, 8 << 60 | TABLES >> 12)
    uc.reg_write(riscv_const.UC_RISCV_REG_PRIV, 1)


PAGING = {"x86_64": page_x86_64, "arm64": page_arm64, "arm": page_arm, "riscv64": page_riscv64}


class Trace:
    """Rows (pc, address, size, write) of one run."""

    def __init__(self, uc: Any, arch: str, pc_register: int) -> None:
        self.rows: list[tuple[int, int, int, bool]] = []
        self._uc, self._arch, self._pc = uc, arch, pc_register
        self._stock = STOCK_CALLBACK(self._on_stock)
        self._patch = PATCH_CALLBACK(self._on_patch)

    def add(self, kind: str, first: int = 1, last: int = 0) -> ctypes.c_size_t:
        handle = ctypes.c_size_t()
        both = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        number, callback = (both, self._stock) if kind == "stock" else (MEM_ACCESS, self._patch)
        error = uclib.uc_hook_add(
            self._uc._uch,
            ctypes.byref(handle),
            ctypes.c_int(number),
            ctypes.cast(callback, ctypes.c_void_p),
            None,
            ctypes.c_uint64(first),
            ctypes.c_uint64(last),
        )
        assert error == 0, error
        return handle

    def _on_stock(self, _uc: Any, kind: int, address: int, size: int, _value: int, _data: Any) -> None:
        pc = self._uc.reg_read(self._pc)
        if self._arch == "x86_16":
            pc += self._uc.reg_read(x86_const.UC_X86_REG_CS) << 4
        elif self._arch == "thumb":
            pc &= ~1
        self.rows.append((pc, address, size, kind == MEM_WRITE))

    def _on_patch(self, _uc: Any, kind: int, pc: int, address: int, size: int, _data: Any) -> None:
        self.rows.append((pc, address, size, kind == MEM_WRITE))


def run(program: dict[str, Any], kind: str) -> dict[str, Any]:
    arch = program["arch"]
    number, mode, sp, pc, registers = ARCHES[arch]
    base = 0x1000 if arch == "x86_16" else 0x100000
    code = bytes.fromhex("".join(program["code"].split()))
    uc = unicorn.Uc(number, mode)
    if "cpu" in program:
        uc.ctl_set_cpu_model(arm64_const.UC_CPU_ARM64_MAX)
    uc.mem_map(0, RAM)
    trace = Trace(uc, arch, pc)
    blocks = 0

    def count(_uc: Any, _address: int, _size: int, _data: Any) -> None:
        nonlocal blocks
        blocks += 1
        if blocks > BLOCKS:
            uc.emu_stop()

    uc.hook_add(unicorn.UC_HOOK_BLOCK, count)
    uc.mem_write(base, code)
    fresh = uc.context_save()

    def once() -> str:
        nonlocal blocks
        blocks = 0
        uc.mem_write(0, bytes(RAM))
        uc.mem_write(base, code)
        uc.context_restore(fresh)
        uc.reg_write(sp, 0xE000 if arch == "x86_16" else STACK)
        if program.get("paging"):
            PAGING[arch](uc)
        try:
            uc.emu_start(base | (arch == "thumb"), base + len(code))
        except unicorn.UcError as error:
            return str(error)
        return "ran too long" if blocks > BLOCKS else ""

    if kind in ("stock", "patch"):
        trace.add(kind)
    elif kind == "late":
        once()
        trace.add("patch")
        uc.ctl_flush_tb()
    elif kind == "bounded":
        trace.add("patch", 0x200000, 0x200FFF)
    elif kind == "two":
        other = Trace(uc, arch, pc)
        trace.add("patch")
        other.add("patch")
    elif kind == "removed":
        handle = trace.add("patch")
        once()
        assert uclib.uc_hook_del(uc._uch, handle) == 0
        trace.rows.clear()
    end = once()
    if kind == "two":
        assert other.rows == trace.rows
    return {
        "arch": arch,
        "name": program["name"],
        "rows": trace.rows,
        "end": end,
        "memory": hashlib.sha256(bytes(uc.mem_read(0, RAM))).hexdigest(),
        "registers": [uc.reg_read(register) for register in registers],
        "pc": uc.reg_read(pc) - base,
    }


def main(path: str, kind: str) -> None:
    programs = tomllib.loads(Path(path).read_text())["program"]
    patched = hasattr(uclib, "uc_efi_shim_patch")
    print(json.dumps({"patched": patched, "runs": [run(program, kind) for program in programs]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
