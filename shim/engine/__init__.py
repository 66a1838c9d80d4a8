"""The CPU emulator: the only place that knows how Unicorn's Python binding is built inside.

One process has one engine. Hooks whose callbacks are native take addresses; the others take Python callables.
"""

from __future__ import annotations

import ctypes
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from shim.engine.choice import choose

choose()

import unicorn  # noqa: E402 - which library it loads has just been chosen
from unicorn.unicorn_py3.unicorn import uclib  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HOOK = ctypes.c_size_t
_WORD = (1 << 64) - 1
#: Unicorn's functions for several registers. They take no time worth giving others a turn, nor arguments to convert.
_BATCH = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_READ_BATCH, _WRITE_BATCH = (_BATCH((name, uclib)) for name in ("uc_reg_read_batch", "uc_reg_write_batch"))
#: uc_cb_hookcode_t: engine, address, size, data.
_CODE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
#: UC_HOOK_MEM_ACCESS, the hook that the patch adds.
_MEM_ACCESS = 1 << 18
#: The error by which Unicorn tells of an invalid opcode, on some architectures.
INVALID_INSTRUCTION = unicorn.UC_ERR_INSN_INVALID


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Which engine is in use: Unicorn's version, and whether it carries this project's patch."""

    unicorn: str
    patched: bool


def engine_info() -> EngineInfo:
    """The engine of this process. The patch tells itself by a symbol that it exports."""
    return EngineInfo(unicorn.__version__, hasattr(uclib, "uc_efi_shim_patch"))


class EmulationError(Exception):
    """Unicorn stopped with an error of its own; *code* is its UC_ERR number."""

    def __init__(self, code: int) -> None:
        super().__init__(str(unicorn.UcError(code)))
        self.code = code


class Engine:
    """One emulated CPU."""

    def __init__(self, arch: int, mode: int, cpu_model: int | None = None) -> None:
        self._arch = arch
        self._uc = unicorn.Uc(arch, mode)
        if cpu_model is not None:
            self._uc.ctl_set_cpu_model(cpu_model)
        self._batches: dict[tuple[int, ...], Registers] = {}
        #: What native code calls has to live as long as this.
        self._callbacks: list[object] = []
        #: AArch64 system registers that are said to have these values.
        self.told: dict[tuple[int, int, int, int, int], int] = {}

    def map(self, address: int, size: int, pointer: int) -> None:
        """Make host memory at *pointer* guest memory at *address*; permissions are the guest's page tables' affair."""
        self._uc.mem_map_ptr(address, size, unicorn.UC_PROT_ALL, pointer)

    def registers(self, numbers: tuple[int, ...]) -> Registers:
        """Registers by Unicorn's numbers, for who reads or writes them often; the same tuple gives the same again."""
        made = self._batches.get(numbers)
        if made is None:
            made = self._batches[numbers] = Registers(numbers, self._uc._uch)
        return made

    def read(self, registers: tuple[int, ...]) -> list[int]:
        """Registers of up to 128 bits, by Unicorn's numbers."""
        return self.registers(registers).read()

    def read_descriptor(self, register: int) -> tuple[int, int, int, int]:
        """GDTR or IDTR: selector, base, limit, flags."""
        value: tuple[int, int, int, int] = self._uc.reg_read(register)
        return value

    def write(self, register: int, value: Any) -> None:
        """Set a register, of whatever form Unicorn's binding wants."""
        self._uc.reg_write(register, value)

    def read_msr(self, number: int) -> int:
        """An x86 model-specific register."""
        value: int = self._uc.msr_read(number)
        return value

    def write_msr(self, number: int, value: int) -> None:
        """Set an x86 model-specific register."""
        self._uc.msr_write(number, value)

    def error_code(self) -> int:
        """The error code of the x86 exception that was raised last."""
        at, _ = _exception_fields()
        return ctypes.c_uint32.from_buffer_copy(bytes(self._uc.context_save()), at).value

    def forget_exception(self) -> None:
        """Let an x86 CPU take the next exception as its first.

        Unicorn never delivers one, so the CPU believes to be delivering the last one still: it would report a double
        fault for the second, and none at all afterwards.
        """
        _, at = _exception_fields()
        context = self._uc.context_save()
        start = ctypes.cast(context.context, ctypes.c_void_p).value or 0
        ctypes.c_int32.from_address(start + at).value = _NO_EXCEPTION
        self._uc.context_restore(context)

    def read_system(self, register: tuple[int, int, int, int, int]) -> int:
        """An AArch64 system register by its op0, op1, CRn, CRm and op2."""
        if register in self.told:
            return self.told[register]
        op0, op1, crn, crm, op2 = register
        value: int = self._uc.reg_read(unicorn.arm64_const.UC_ARM64_REG_CP_REG, (crn, crm, op0, op1, op2))
        return value

    def write_system(self, register: tuple[int, int, int, int, int], value: int) -> None:
        """Set an AArch64 system register."""
        op0, op1, crn, crm, op2 = register
        self._uc.reg_write(unicorn.arm64_const.UC_ARM64_REG_CP_REG, (crn, crm, op0, op1, op2, value))

    def read_coprocessor(self, register: tuple[int, int, int, int, int]) -> int:
        """A register of a 32-bit Arm CPU's coprocessor 15 by its CRn, CRm, opc1, opc2, and whether it has 64 bits."""
        crn, crm, opc1, opc2, wide = register
        value: int = self._uc.reg_read(unicorn.arm_const.UC_ARM_REG_CP_REG, (15, wide, 0, crn, crm, opc1, opc2))
        return value

    def write_coprocessor(self, register: tuple[int, int, int, int, int], value: int) -> None:
        """Set such a register."""
        crn, crm, opc1, opc2, wide = register
        self._uc.reg_write(unicorn.arm_const.UC_ARM_REG_CP_REG, (15, wide, 0, crn, crm, opc1, opc2, value))

    def syndrome(self) -> tuple[int, int]:
        """Syndrome and fault address of the Arm exception that was raised last.

        ESR and FAR, or what they are called with 32 bits, have them only when the CPU takes the exception, which
        Unicorn doesn't let it do.
        """
        at = _syndrome_field(self._arch)
        context = bytes(self._uc.context_save())
        return ctypes.c_uint32.from_buffer_copy(context, at).value, ctypes.c_uint64.from_buffer_copy(
            context, at + 8
        ).value

    def bad_address(self) -> int:
        """The address of the RISC-V exception that was raised last; STVAL has it only when the CPU takes it."""
        return ctypes.c_uint64.from_buffer_copy(bytes(self._uc.context_save()), _bad_address_field()).value

    def answer_counters(self, numbers: tuple[int, ...], callback: int) -> None:
        """Let the native function at address *callback* answer reads of RISC-V CSRs: of CPU, number, where to put it.

        Unicorn has no hook for it: cycles would be the host's, and there would be no time. What it has is a table of
        functions, for all engines of the process.
        """
        for number in numbers:
            functions = _CsrFunctions()
            uclib.riscv_get_csr_ops_riscv64(number, ctypes.byref(functions))
            functions.read = callback
            uclib.riscv_set_csr_ops_riscv64(number, ctypes.byref(functions))

    def flush_tlb(self) -> None:
        """Forget address translations: the page tables have changed."""
        self._uc.ctl(unicorn.UC_CTL_TLB_FLUSH, unicorn.UC_CTL_IO_WRITE)

    def drop_code(self, start: int, end: int) -> None:
        """Forget what was translated from these addresses: the bytes there have changed."""
        self._uc.ctl_remove_cache(start, end)

    def run(self, address: int, until: int) -> None:
        """Emulate from *address* until something stops it; raises EmulationError.

        *until* is an address that is never reached. The byte before it has to be executable: Unicorn looks it up
        when it stops, and a page fault of that look-up would count as one of the guest's.
        """
        try:
            self._uc.emu_start(address, until)
        except unicorn.UcError as error:
            raise EmulationError(error.errno) from None

    def execute(self, address: int, code: bytes) -> None:
        """Execute *code*, of one instruction, at *address* instead of what is there; raises EmulationError."""
        before = bytes(self._uc.mem_read(address, len(code)))
        self._uc.mem_write(address, code)
        self.run(address, address + len(code))
        self._uc.mem_write(address, before)
        self.drop_code(address, address + len(code))

    def stop(self) -> None:
        """Stop the emulation, from within a hook."""
        self._uc.emu_stop()

    def hook_native_blocks(self, callback: int, data: int) -> None:
        """Call the native function at address *callback* at each basic block, with *data*."""
        self._hook_native(unicorn.UC_HOOK_BLOCK, callback, data)

    def hook_native_translations(self, callback: int, data: int) -> None:
        """Call the native function at address *callback* when a block is translated, but for the first of all."""
        self._hook_native(unicorn.UC_HOOK_EDGE_GENERATED, callback, data)

    def hook_native_instruction(self, instruction: int, callback: int, data: int) -> None:
        """Call the native function at address *callback* in place of an instruction."""
        self._hook_native(unicorn.UC_HOOK_INSN, callback, data, ctypes.c_int(instruction))

    def hook_port_reads(self, callback: Callable[[int, int], int]) -> None:
        """Answer reads of x86 ports: *callback* gets the port and how many bytes are read."""
        self._uc.hook_add(
            unicorn.UC_HOOK_INSN,
            lambda _uc, port, size, _data: callback(port, size),
            None,
            1,
            0,
            unicorn.x86_const.UC_X86_INS_IN,
        )

    def hook_port_writes(self, callback: Callable[[int, int], None]) -> None:
        """Report writes to x86 ports: *callback* gets the port and how many bytes are written."""
        self._uc.hook_add(
            unicorn.UC_HOOK_INSN,
            lambda _uc, port, size, _value, _data: callback(port, size),
            None,
            1,
            0,
            unicorn.x86_const.UC_X86_INS_OUT,
        )

    def hook_code(self, start: int, end: int, callback: Callable[[object, int, int, object], None]) -> None:
        """Call *callback* before each instruction in [start, end); its second argument is the address.

        It is called as directly as can be: nothing catches what it raises.
        """
        self._callbacks.append(native := _CODE(callback))
        address = ctypes.cast(native, ctypes.c_void_p).value or 0
        self._hook_native(unicorn.UC_HOOK_CODE, address, 0, begin=start, end=end - 1)

    def hook_native_code(self, address: int, callback: int, data: int) -> None:
        """Call the native function at address *callback* before the instruction at *address*, with *data*."""
        self._hook_native(unicorn.UC_HOOK_CODE, callback, data, begin=address, end=address)

    def hook_interrupts(self, callback: Callable[[int], None]) -> None:
        """Call *callback* with the number of each exception or interrupt."""
        self._uc.hook_add(unicorn.UC_HOOK_INTR, lambda _uc, number, _data: callback(number))

    def hook_accesses(self, pc: int, callback: Callable[[int, int, int, bool], None]) -> None:
        """Call *callback* (pc, address, size, write) for each memory access, as Unicorn's own hooks report it.

        The argument *pc* is Unicorn's number of the program counter.
        """

        def on_access(_uc: Any, kind: int, address: int, size: int, _value: int, _data: Any) -> None:
            callback(self._uc.reg_read(pc), address, size, kind == unicorn.UC_MEM_WRITE)

        self._uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, on_access)

    def hook_native_accesses(self, inline: int, hook: int, data: int) -> None:
        """Call a native function for each memory access: *inline* by the patched engine, *hook* by the released one.

        The one is a uc_cb_hookaccess_t, called after each access that succeeded; the other a uc_cb_hookmem_t.
        """
        if engine_info().patched:
            self._hook_native(_MEM_ACCESS, inline, data)
        else:
            self._hook_native(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, hook, data)

    @property
    def block_counter(self) -> int:
        """Address of the patched engine's count of blocks, which native callbacks read and set; 0: it has none."""
        if not engine_info().patched:
            return 0
        lead = uclib.uc_efi_shim_blocks
        lead.restype, lead.argtypes = ctypes.c_size_t, (ctypes.c_void_p,)
        address: int = lead(self._uc._uch)
        return address

    @property
    def read_function(self) -> int:
        """Address of uc_reg_read, for native callbacks."""
        return _address(uclib.uc_reg_read)

    @property
    def read_memory_function(self) -> int:
        """Address of uc_mem_read, for native callbacks."""
        return _address(uclib.uc_mem_read)

    @property
    def stop_function(self) -> int:
        """Address of uc_emu_stop, for native callbacks."""
        return _address(uclib.uc_emu_stop)

    @property
    def write_function(self) -> int:
        """Address of uc_reg_write, for native callbacks."""
        return _address(uclib.uc_reg_write)

    def _hook_native(self, kind: int, callback: int, data: int, *extra: Any, begin: int = 1, end: int = 0) -> None:
        handle = _HOOK()
        error = uclib.uc_hook_add(
            self._uc._uch,
            ctypes.byref(handle),
            kind,
            ctypes.c_void_p(callback),
            ctypes.c_void_p(data),
            ctypes.c_uint64(begin),
            ctypes.c_uint64(end),
            *extra,
        )
        if error != unicorn.UC_ERR_OK:
            raise EmulationError(error)


class Registers:
    """Registers of up to 128 bits that are read or written together, in one call of Unicorn's."""

    def __init__(self, registers: tuple[int, ...], handle: Any) -> None:
        count = len(registers)
        self._numbers = (ctypes.c_int * count)(*registers)
        # Two words for each: Unicorn copies as many bytes as a register has, up to 16. The rest stays zero.
        self._read_words, self._written_words = ((ctypes.c_uint64 * (2 * count))() for _ in range(2))
        form = struct.Struct(f"={2 * count}Q")
        self._unpack, self._pack_into = form.unpack, form.pack_into
        self._read_call = self._call(handle, self._read_words)
        self._write_call = self._call(handle, self._written_words)

    def _call(self, handle: Any, words: Any) -> tuple[Any, ...]:
        """The arguments of Unicorn's function, which they are to be kept for."""
        count = len(self._numbers)
        start = ctypes.addressof(words)
        pointers = (ctypes.c_void_p * count)(*(start + 16 * i for i in range(count)))
        return handle, self._numbers, pointers, ctypes.c_int(count)

    def read(self) -> list[int]:
        """Their values."""
        self._check(_READ_BATCH(*self._read_call))
        words = self._unpack(self._read_words)
        low, high = words[::2], words[1::2]
        return [each | above << 64 for each, above in zip(low, high, strict=True)] if any(high) else list(low)

    def write(self, values: Iterable[int]) -> None:
        """Set them."""
        words: list[int] = []
        for value in values:
            words += (value & _WORD, value >> 64 & _WORD)
        self._pack_into(self._written_words, 0, *words)
        self._check(_WRITE_BATCH(*self._write_call))

    @staticmethod
    def _check(error: int) -> None:
        if error != unicorn.UC_ERR_OK:
            raise EmulationError(error)


class _CsrFunctions(ctypes.Structure):
    """Unicorn's riscv_csr_operations."""

    read: int | None

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("predicate", "read", "write", "modify"))


_NO_EXCEPTION = -1
_GENERAL_PROTECTION = 13


@cache
def _exception_fields() -> tuple[int, int]:
    """Where a saved x86 context has the exception's error code and the number of the exception being delivered.

    Unicorn has no register for them. A general protection fault with an error code of our choice shows the places.
    """
    selector = 0x4567
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.mem_map(0, 4096)
    uc.mem_write(0, b"\x66\xb8" + selector.to_bytes(2, "little") + b"\x8e\xd8")  # mov $selector, %ax; mov %eax, %ds
    uc.hook_add(unicorn.UC_HOOK_INTR, lambda uc, _number, _data: uc.emu_stop())
    before = memoryview(bytes(uc.context_save())).cast("i")
    with suppress(unicorn.UcError):
        uc.emu_start(0, 6)
    after = memoryview(bytes(uc.context_save())).cast("i")

    def place(old: int, new: int) -> int:
        (found,) = (i for i, pair in enumerate(zip(before, after, strict=True)) if pair == (old, new))
        return 4 * found

    return place(0, selector & ~3), place(_NO_EXCEPTION, _GENERAL_PROTECTION)


#: A supervisor call with a number of our choice, and the syndrome that it has.
_CALL_NUMBER = 0x4567
_CALLS = {
    unicorn.UC_ARCH_ARM64: (0xD400_0001 | _CALL_NUMBER << 5, 0x5600_0000 | _CALL_NUMBER),
    unicorn.UC_ARCH_ARM: (0xEF00_0000 | _CALL_NUMBER, 0x4600_0000 | _CALL_NUMBER),
}


@cache
def _syndrome_field(arch: int) -> int:
    """Where a saved Arm context has an exception's syndrome; the fault address lies 8 bytes behind it.

    Unicorn has no register for them. A supervisor call shows the place.
    """
    instruction, syndrome = _CALLS[arch]
    uc = unicorn.Uc(arch, unicorn.UC_MODE_ARM)
    uc.mem_map(0, 4096)
    uc.mem_write(0, instruction.to_bytes(4, "little"))
    uc.hook_add(unicorn.UC_HOOK_INTR, lambda uc, _number, _data: uc.emu_stop())
    with suppress(unicorn.UcError):
        uc.emu_start(0, 4096)
    words = memoryview(bytes(uc.context_save())).cast("I")
    (found,) = (4 * i for i, word in enumerate(words) if word == syndrome)
    return found


@cache
def _bad_address_field() -> int:
    """Where a saved RISC-V context has the address of an exception.

    Unicorn has no register for it. A fetch from an address of our choice, by empty page tables, shows the place.
    """
    address = 0x4567_8000
    uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV64)
    uc.mem_map(0, 4096)
    uc.hook_add(unicorn.UC_HOOK_INTR, lambda uc, _number, _data: uc.emu_stop())
    uc.reg_write(unicorn.riscv_const.UC_RISCV_REG_PRIV, 1)
    uc.reg_write(unicorn.riscv_const.UC_RISCV_REG_SATP, 9 << 60)
    with suppress(unicorn.UcError):
        uc.emu_start(address, 0)
    uc.reg_write(unicorn.riscv_const.UC_RISCV_REG_PC, 0)
    words = memoryview(bytes(uc.context_save())).cast("Q")
    (found,) = (8 * i for i, word in enumerate(words) if word == address)
    return found


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
