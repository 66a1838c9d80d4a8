"""User mode of x86-64: privilege level 3, without any right to ports.

All instructions that need level 0 raise a general protection fault, which says nothing of its cause: so the instruction
is looked at. Loads of segments are done as 64-bit code notices them: segments of level 0 are not loaded, those of
level 3 stay, and only the bases of FS and GS count. Sections are those of the Intel SDM, volume 2.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import unicorn.x86_const as x86

from efi_services.ports import MemoryFault
from shim.machine.user.mode import Performed
from shim.machine.x86 import EFER, EXCEPTIONS, INTERRUPT_FLAG, absent_port
from shim.machine.x86_64 import CODE_SELECTOR, DATA_SELECTOR, EFER_VALUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shim.engine import Engine
    from shim.machine._native import Monitor
    from shim.machine.architecture import Trap
    from shim.machine.paging import EntryFormat
    from shim.machine.ram import Ram

_PROTECTION = EXCEPTIONS[13]
_LONGEST = 15
_WORD = (1 << 64) - 1

#: SYSRET takes its segments from here: the code segment is 16 above, the stack's is 8 above, both for level 3.
_STAR, _SYSRET = 0xC000_0081, b"\x48\x0f\x07"
_SYSTEM_CALLS = 1
_KERNEL_GS_BASE = 0xC000_0102
_MSRS = {
    0x10: "TIME_STAMP_COUNTER", 0x1B: "APIC_BASE", 0x277: "PAT", EFER: "EFER", _STAR: "STAR", 0xC000_0082: "LSTAR",
    0xC000_0084: "FMASK", 0xC000_0100: "FS_BASE", 0xC000_0101: "GS_BASE", _KERNEL_GS_BASE: "KERNEL_GS_BASE",
    0xC001_0131: "SEV_STATUS",
}  # fmt: skip
#: Bits without which there is no long mode with four levels of page tables, and its enable bit in EFER.
_FIXED = {"cr0": 1 << 31 | 1, "cr4": 1 << 12 | 1 << 5}
_LONG_MODE = 1 << 8
_TASK_SWITCHED = 1 << 3
#: Flags that IRET may change: not the right to ports, nor virtual-8086 mode.
_FLAGS = 0x0024_4FD5 | INTERRUPT_FLAG
#: Of a segment descriptor: it is no system segment, is present, is code, is 64-bit code.
_SEGMENT, _PRESENT, _CODE, _LONG = 1 << 44, 1 << 47, 1 << 43, 1 << 53
_SEGMENTS = frozenset(("cs", "ds", "es", "fs", "gs", "ss"))


class X8664User:
    """User mode, for the machine."""

    #: Intel SDM volume 3, section 4.6: an entry of every level has to have it.
    entry_bit = 4

    def entry_format(self, form: EntryFormat) -> EntryFormat:
        """User mode may use all entries."""
        mask, bits = form.table
        user = self.entry_bit
        return replace(form, page=form.page | user, large_page=form.large_page | user, table=(mask, bits | user))

    def watch(self, engine: Engine, monitor: Monitor, note: Callable[[Performed], None]) -> None:  # noqa: ARG002
        """Unicorn doesn't ask who may use ports."""

        def seen(name: str, meaning: str) -> None:
            (pc,) = engine.read((x86.UC_X86_REG_RIP,))
            note(Performed(pc, name, name, meaning))

        def reads(port: int, size: int) -> int:
            seen("in", f"read {size} bytes from port {port:#x}: nothing is behind it")
            return absent_port(port, size)

        def writes(port: int, size: int) -> None:
            seen("out", f"write {size} bytes to port {port:#x}: nothing is behind it")

        engine.hook_port_reads(reads)
        engine.hook_port_writes(writes)

    def counted(self, monitor: Monitor, ram: Ram) -> Iterator[Performed]:  # noqa: ARG002
        """Nothing comes so often."""
        return iter(())

    def enter(self, engine: Engine, monitor: Monitor, at: int) -> None:  # noqa: ARG002
        """By SYSRET: Unicorn takes the privilege level from no register that could be set."""
        saved = {each: engine.read_msr(each) for each in (_STAR, EFER)}
        engine.write_msr(_STAR, (DATA_SELECTOR - 8 | 3) << 48)
        engine.write_msr(EFER, EFER_VALUE | _SYSTEM_CALLS)
        (flags,) = engine.read((x86.UC_X86_REG_RFLAGS,))
        engine.write(x86.UC_X86_REG_R11, flags)
        engine.write(x86.UC_X86_REG_RCX, at + len(_SYSRET))
        engine.execute(at, _SYSRET)
        for register in (x86.UC_X86_REG_R11, x86.UC_X86_REG_RCX, x86.UC_X86_REG_RIP):
            engine.write(register, 0)
        for number, value in saved.items():
            engine.write_msr(number, value)

    @contextmanager
    def raised(self, engine: Engine) -> Iterator[None]:  # noqa: ARG002
        """To the host all registers are open."""
        yield

    def perform(self, engine: Engine, trap: Trap, ram: Ram) -> Performed | None:
        """Any instruction that level 0 could have executed."""
        if trap.name != _PROTECTION:
            return None
        (pc,) = engine.read((x86.UC_X86_REG_RIP,))
        room = next((end - pc for start, end in ram.ranges if start <= pc < end), 0)
        found = next(_decoder().disasm(bytes(ram.view(pc, min(_LONGEST, room))), pc, 1), None)
        if found is None:
            return None
        return _Instruction(engine, ram, found).perform()

    def privileged(self, registers: dict[str, int]) -> dict[str, int]:
        """With the firmware's segments."""
        return {**registers, "cs": CODE_SELECTOR, "ss": DATA_SELECTOR}


X86_64_USER = X8664User()


@cache
def _decoder() -> Any:
    # Late: runs with privileges have no use for it.
    import capstone

    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return decoder


class _CannotError(Exception):
    """The model can't do it; says why."""


class _Instruction:
    """One instruction that trapped."""

    def __init__(self, engine: Engine, ram: Ram, found: Any) -> None:
        self._engine, self._ram, self._found = engine, ram, found
        self._next = found.address + found.size

    def perform(self) -> Performed | None:
        """Do it; None if it isn't privileged."""
        import capstone

        found = self._found
        text = f"{found.mnemonic} {found.op_str}".strip()
        name, ends = found.mnemonic, ""
        try:
            moves = name in ("mov", "pop")
            done = self._move() if moves else self._other(name)
            # To capstone all loads of segments are privileged.
            if done is None and not moves and found.group(capstone.CS_GRP_PRIVILEGE):
                raise _CannotError("this privileged instruction is not in the model")
            if done is None:
                return None
            name, meaning = done
            if name == "hlt":
                ends = "the CPU was halted for good"
        except (_CannotError, MemoryFault) as error:
            meaning = f"not performed: {error}"
            ends = f"privileged instruction {text}: {error}"
        else:
            self._write("rip", self._next)
        return Performed(found.address, text, name, meaning, ends)

    def _other(self, name: str) -> tuple[str, str] | None:
        actions: dict[str, Callable[[], str]] = {
            "cli": lambda: self._interrupts(on=False),
            "sti": lambda: self._interrupts(on=True),
            "hlt": lambda: "wait for an interrupt, of which there are none",
            "clts": self._clear_task_switched,
            "invlpg": lambda: self._flush("one page"),
            "wbinvd": lambda: "write back and empty the caches: there are none",
            "invd": lambda: "empty the caches: there are none",
            "rdmsr": self._read_msr,
            "wrmsr": self._write_msr,
            "lgdt": lambda: self._load_table(x86.UC_X86_REG_GDTR, "segment descriptors"),
            "lidt": lambda: self._load_table(x86.UC_X86_REG_IDTR, "interrupt gates"),
            "lldt": self._no_local_table,
            "swapgs": self._swap_gs,
            "retf": lambda: self._far_return(4),
            "retfq": lambda: self._far_return(8),
            "ljmp": self._far_jump,
            "iretq": self._interrupt_return,
        }
        action = actions.get(name)
        return None if action is None else (name, action())

    # Control and segment registers.

    def _move(self) -> tuple[str, str] | None:
        """MOV from and to control, debug and segment registers; POP FS and GS."""
        found = self._found
        names = [found.reg_name(each.reg) if each.type == _REGISTER else "" for each in found.operands]
        target, source = names[0], names[-1]
        if found.mnemonic == "mov" and source[:2] in ("cr", "dr"):
            value = self._read(source)
            self._write(target, value)
            return f"mov from {source}", f"read {source.upper()}"
        if found.mnemonic == "mov" and target[:2] in ("cr", "dr"):
            value = self._read(source)
            self._control(target, value)
            return f"mov to {target}", f"set {target.upper()} to {value:#x}"
        if target not in _SEGMENTS:
            return None
        if found.mnemonic == "pop":
            selector = self._pop(8)
        else:
            selector = self._read(source) if source else self._fetch(self._address(), 2)
        selector &= 0xFFFF
        descriptor = self._descriptor(selector)
        if descriptor is None:
            return None
        if target in ("fs", "gs"):
            base = descriptor >> 16 & 0xFF_FFFF | descriptor >> 32 & 0xFF00_0000
            self._write(f"{target}_base", base)
        return f"{found.mnemonic} to {target}", f"load {target.upper()} with segment {selector:#x} of level 0"

    def _control(self, name: str, value: int) -> None:
        before = self._read(name)
        changed = value ^ before
        if changed & _FIXED.get(name, 0):
            raise _CannotError(f"{name.upper()} {value:#x} leaves long mode with four levels of page tables")
        if name == "cr3" and changed & ~0xFFF:
            raise _CannotError(f"page tables of the payload's own, at {value:#x}, don't tell what user mode may use")
        self._write(name, value)
        self._engine.flush_tlb()

    def _clear_task_switched(self) -> str:
        self._write("cr0", self._read("cr0") & ~_TASK_SWITCHED)
        return "clear CR0.TS"

    def _interrupts(self, *, on: bool) -> str:
        flags = self._read("rflags") & ~INTERRUPT_FLAG
        self._write("rflags", flags | (INTERRUPT_FLAG if on else 0))
        return "enable interrupts" if on else "mask interrupts"

    def _flush(self, what: str) -> str:
        self._engine.flush_tlb()
        return f"forget the translation of {what}"

    def _read_msr(self) -> str:
        number = self._read("ecx")
        value = self._engine.read_msr(number)
        self._write("rax", value & 0xFFFF_FFFF)
        self._write("rdx", value >> 32)
        return f"read {_msr(number)}"

    def _write_msr(self) -> str:
        number = self._read("ecx")
        value = self._read("edx") << 32 | self._read("eax")
        if number == EFER and (value ^ self._engine.read_msr(EFER)) & _LONG_MODE:
            raise _CannotError(f"EFER {value:#x} leaves long mode")
        self._engine.write_msr(number, value)
        return f"set {_msr(number)} to {value:#x}"

    def _swap_gs(self) -> str:
        base, other = self._read("gs_base"), self._engine.read_msr(_KERNEL_GS_BASE)
        self._write("gs_base", other)
        self._engine.write_msr(_KERNEL_GS_BASE, base)
        return "exchange GS_BASE and KERNEL_GS_BASE"

    # Descriptor tables.

    def _load_table(self, register: int, what: str) -> str:
        at = self._address()
        limit, base = self._fetch(at, 2), self._fetch(at + 2, 8)
        self._engine.write(register, (0, base, limit, 0))
        return f"{what} are at {base:#x}, limit {limit:#x}"

    def _no_local_table(self) -> str:
        (operand,) = self._found.operands
        name = self._found.reg_name(operand.reg) if operand.type == _REGISTER else ""
        selector = self._read(name) if name else self._fetch(self._address(), 2)
        if selector & 0xFFFC:
            raise _CannotError(f"a local descriptor table, {selector:#x}, is not in the model")
        return "there is no local descriptor table"

    def _descriptor(self, selector: int) -> int | None:
        """A segment of the global table; None if there is none, which is a fault at any level."""
        if not selector & 0xFFFC:
            return 0
        _, base, limit, _ = self._engine.read_descriptor(x86.UC_X86_REG_GDTR)
        if selector & 4 or selector | 7 > limit:
            return None
        descriptor = self._fetch(base + (selector & 0xFFF8), 8)
        return descriptor if descriptor & _SEGMENT and descriptor & _PRESENT else None

    # Jumps to other segments.

    def _far_return(self, width: int) -> str:
        operands = self._found.operands
        target, selector = self._pop(width), self._pop(width) & 0xFFFF
        self._enter_segment(selector, target)
        if operands:
            self._write("rsp", self._read("rsp") + operands[0].imm)
        return f"load CS with segment {selector:#x} by a return"

    def _far_jump(self) -> str:
        width = 8 if self._found.rex & 8 else 4
        at = self._address()
        selector = self._fetch(at + width, 2)
        self._enter_segment(selector, self._fetch(at, width))
        return f"load CS with segment {selector:#x} by a jump"

    def _interrupt_return(self) -> str:
        target, selector, flags, stack, _ = (self._pop(8) for _ in range(5))
        self._enter_segment(selector & 0xFFFF, target)
        self._write("rflags", flags & _FLAGS | 2)
        self._write("rsp", stack)
        return f"load CS with segment {selector & 0xFFFF:#x}, flags and stack by a return from an interrupt"

    def _enter_segment(self, selector: int, target: int) -> None:
        descriptor = self._descriptor(selector) or 0
        if not descriptor & _CODE:
            raise _CannotError(f"{selector:#x} is no code segment")
        if not descriptor & _LONG:
            raise _CannotError(f"segment {selector:#x} leaves long mode")
        self._next = target

    # Registers and memory.

    def _read(self, name: str) -> int:
        (value,) = self._engine.read((_number(name),))
        return value

    def _write(self, name: str, value: int) -> None:
        self._engine.write(_number(name), value & _WORD)

    def _fetch(self, address: int, size: int) -> int:
        return int.from_bytes(self._ram.view(address & _WORD, size), "little")

    def _pop(self, width: int) -> int:
        at = self._read("rsp")
        value = self._fetch(at, width)
        self._write("rsp", at + width)
        return value

    def _address(self) -> int:
        """Of the operand in memory."""
        found = self._found
        (memory,) = (each.mem for each in found.operands if each.type == _MEMORY)
        parts = {name: found.reg_name(getattr(memory, name)) for name in ("base", "index", "segment")}
        address: int = memory.disp
        if parts["base"]:
            address += self._next if parts["base"] == "rip" else self._read(parts["base"])
        if parts["index"]:
            address += self._read(parts["index"]) * memory.scale
        if parts["segment"] in ("fs", "gs"):
            address += self._read(f"{parts['segment']}_base")
        return address & _WORD


#: Capstone's numbers of kinds of operands.
_REGISTER, _MEMORY = 1, 3


@cache
def _number(name: str) -> int:
    number: int = getattr(x86, f"UC_X86_REG_{name.upper()}")
    return number


def _msr(number: int) -> str:
    return f"MSR {number:#x}" + (f", {_MSRS[number]}" if number in _MSRS else "")
