"""The CPU emulator: the only place that knows how Unicorn's Python binding is built inside.

One process has one engine. Hooks whose callbacks are native take addresses; the others take Python callables.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import unicorn
from unicorn.unicorn_py3.unicorn import uclib

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HOOK = ctypes.c_size_t


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
        self._uc = unicorn.Uc(arch, mode)
        if cpu_model is not None:
            self._uc.ctl_set_cpu_model(cpu_model)
        self._keep: list[Any] = []

    def map(self, address: int, size: int, pointer: int) -> None:
        """Make host memory at *pointer* guest memory at *address*; permissions are the guest's page tables' affair."""
        self._uc.mem_map_ptr(address, size, unicorn.UC_PROT_ALL, pointer)

    def read(self, registers: Sequence[int]) -> Sequence[int]:
        """Registers by Unicorn's numbers."""
        return [self._uc.reg_read(each) for each in registers]

    def read_descriptor(self, register: int) -> tuple[int, int, int, int]:
        """GDTR or IDTR: selector, base, limit, flags."""
        value: tuple[int, int, int, int] = self._uc.reg_read(register)
        return value

    def write(self, register: int, value: Any) -> None:
        """Set a register."""
        self._uc.reg_write(register, value)

    def read_msr(self, number: int) -> int:
        """An x86 model-specific register."""
        value: int = self._uc.msr_read(number)
        return value

    def write_msr(self, number: int, value: int) -> None:
        """Set an x86 model-specific register."""
        self._uc.msr_write(number, value)

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

    def stop(self) -> None:
        """Stop the emulation, from within a hook."""
        self._uc.emu_stop()

    def hook_native_blocks(self, callback: int, data: int) -> None:
        """Call the native function at address *callback* at each basic block, with *data*."""
        self._hook_native(unicorn.UC_HOOK_BLOCK, callback, data)

    def hook_native_instruction(self, instruction: int, callback: int, data: int) -> None:
        """Call the native function at address *callback* in place of an instruction."""
        self._hook_native(unicorn.UC_HOOK_INSN, callback, data, ctypes.c_int(instruction))

    def hook_code(self, start: int, end: int, callback: Callable[[int], None]) -> None:
        """Call *callback* with the address before each instruction in [start, end)."""
        self._uc.hook_add(
            unicorn.UC_HOOK_CODE, lambda _uc, address, _size, _data: callback(address), None, start, end - 1
        )

    def hook_interrupts(self, callback: Callable[[int], None]) -> None:
        """Call *callback* with the number of each exception or interrupt."""
        self._uc.hook_add(unicorn.UC_HOOK_INTR, lambda _uc, number, _data: callback(number))

    def hook_accesses(self, callback: Callable[[int, int, int, bool], None]) -> None:
        """Call *callback* (pc, address, size, write) for each memory access, as Unicorn's own hooks report it."""
        pc = unicorn.x86_const.UC_X86_REG_RIP

        def on_access(_uc: Any, kind: int, address: int, size: int, _value: int, _data: Any) -> None:
            callback(self._uc.reg_read(pc), address, size, kind == unicorn.UC_MEM_WRITE)

        self._uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, on_access)

    @property
    def stop_function(self) -> int:
        """Address of uc_emu_stop, for native callbacks."""
        return _address(uclib.uc_emu_stop)

    @property
    def write_function(self) -> int:
        """Address of uc_reg_write, for native callbacks."""
        return _address(uclib.uc_reg_write)

    def _hook_native(self, kind: int, callback: int, data: int, *extra: Any) -> None:
        handle = _HOOK()
        error = uclib.uc_hook_add(
            self._uc._uch,
            ctypes.byref(handle),
            kind,
            ctypes.c_void_p(callback),
            ctypes.c_void_p(data),
            ctypes.c_uint64(1),
            ctypes.c_uint64(0),
            *extra,
        )
        if error != unicorn.UC_ERR_OK:
            raise EmulationError(error)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
