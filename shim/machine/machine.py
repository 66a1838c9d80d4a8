"""The machine: CPU, RAM and clock of one platform, as the firmware's ports see them, and the loop that runs it."""

from __future__ import annotations

import ctypes
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from efi_services.ports import Access
from shim.engine import INVALID_INSTRUCTION, EmulationError, Engine
from shim.machine._native import REASON_CLOCK, REASON_ENTRY, REASON_LEFT, REASON_LIMIT, Monitor
from shim.machine.paging import PageTables, table_bytes
from shim.machine.ram import Ram
from shim.machine.time import SeededEntropy, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from shim.engine import Registers
    from shim.machine import sbi
    from shim.machine.architecture import Architecture, Trap
    from shim.machine.user.mode import Performed, UserMode

#: A callback for blocks: engine, address, size, data.
_BLOCK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)

#: Blocks between two looks at the wall clock and at Ctrl-C: some 30 ms with the released engine, 15 with the other.
SLICE = 1 << 20
#: The same in instructions that were done for a payload in user mode, as much time: each restarts the emulation.
PERFORMED_SLICE = 256
#: What one read of the CPU's own clock takes, in virtual nanoseconds.
COUNTER_READ_NS = 25


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the firmware's own tables lie in RAM, and which of RAM the guest may see at all."""

    architecture: Architecture
    ram: tuple[tuple[int, int], ...]
    mapped: tuple[tuple[int, int], ...]
    page_tables: int
    descriptor_tables: int
    reserved: tuple[tuple[int, int, str], ...] = ()
    #: Where payloads run without privileges.
    user_mode: UserMode | None = None

    @property
    def own_regions(self) -> tuple[tuple[int, int, str, str], ...]:
        """What is set aside from the start: start, end, memory type and name."""
        end = self.descriptor_tables + len(self.architecture.descriptor_tables)
        own = (
            *((*each, "reserved by the platform") for each in self.reserved),
            (self.page_tables, self.descriptor_tables, "BootServicesData", "page tables"),
            (self.descriptor_tables, end, "BootServicesData", "descriptor tables"),
        )
        return tuple(each for each in own if each[0] < each[1])

    @staticmethod
    def firmware_bytes(architecture: Architecture, mapped: tuple[tuple[int, int], ...]) -> int:
        """Room for page tables and descriptor tables."""
        return table_bytes(mapped) + len(architecture.descriptor_tables)


class NativeFolder(Protocol):
    """A recorder in native code: its callbacks, and what they need to know of the engine."""

    read_register: int
    pc_register: int

    @property
    def access_callback(self) -> int:
        """Address of a callback for the patched engine's hook."""

    @property
    def hook_callback(self) -> int:
        """Address of a callback for Unicorn's memory hooks."""

    @property
    def block_callback(self) -> int:
        """Address of a callback for blocks."""

    @property
    def state(self) -> int:
        """What the callbacks want as user data."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the CPU stopped: kind is kernel-entry, fault or budget. *detail* is a sentence."""

    kind: str
    detail: str
    pc: int
    came_from: int = 0


class Machine:
    """Implements the ports Cpu, Mmu (`tables`), Memory (`ram`), Clock and Entropy."""

    def __init__(self, layout: Layout, cpu_model: str, seed: int) -> None:
        self.architecture = arch = layout.architecture
        self.ram = Ram(layout.ram)
        self._user = user = layout.user_mode
        form = arch.entry_format if user is None else user.entry_format(arch.entry_format)
        self.tables = PageTables(self.ram, layout.page_tables, layout.mapped, form)
        self.monitor = Monitor()
        self.clock = VirtualClock(self.monitor)
        self.entropy = SeededEntropy(seed, "entropy")
        self._layout = layout
        self._number = arch.registers.__getitem__
        self._pc = arch.program_counter
        self._engine = engine = Engine(*arch.engine_mode, arch.cpu_models[cpu_model])
        self._named: dict[tuple[str, ...], Registers] = {}
        self._enter: Callable[[int], None] = lambda _address: None
        self._raised: BaseException | None = None
        self._trap: Trap | None = None
        self._until = 0
        #: Gets what was done for a payload in user mode.
        self.performed: Callable[[Performed], None] = lambda _performed: None
        #: Gets what was asked of the software below the firmware.
        self.asked: Callable[[sbi.Call], None] = lambda _call: None
        #: Asked whether something wakes a CPU that waits for an interrupt.
        self.wakes: Callable[[], bool] = lambda: False
        self._looked_after = 0
        self._ends = ""
        for address, size, pointer in self.ram.blocks():
            engine.map(address, size, pointer)
        self.ram.write(layout.descriptor_tables, arch.descriptor_tables)
        self.tables.flush = engine.flush_tlb
        self.ram.changed = self._memory_changed
        if user is not None:
            user.watch(engine, self.monitor, lambda each: self.performed(each))
        self._set_up_monitor(seed)
        engine.hook_interrupts(self._on_exception)

    # The Cpu port.

    def read(self, names: Sequence[str]) -> Sequence[int]:
        """Registers by name."""
        return self._registers(tuple(names)).read()

    def write(self, values: Mapping[str, int]) -> None:
        """Set registers; the program counter last, since writing it moves the CPU."""
        names = tuple(name for name in values if name != self._pc) if self._pc in values else tuple(values)
        self._registers(names).write(map(values.__getitem__, names))
        if self._pc in values:
            # Not in the batch: of a program counter there, Unicorn doesn't notice that the CPU has moved.
            self._engine.write(self._number(self._pc), values[self._pc])

    def _registers(self, names: tuple[str, ...]) -> Registers:
        known = self._named.get(names)
        if known is None:
            known = self._named[names] = self._engine.registers(tuple(map(self._number, names)))
        return known

    def mask_interrupts(self) -> None:
        """Leave interrupts masked."""
        with self._raised_mode():
            self.architecture.mask_interrupts(self._engine)

    # The run.

    def prepare(self, gates: tuple[tuple[int, int], ...], enter: Callable[[int], None], stack: int) -> None:
        """Bring the CPU to its start state; *enter* is called whenever it stands at a gate."""
        self._enter = enter
        # The last gate page ends with bytes that belong to no gate.
        self._until = gates[-1][1] - 1
        self.architecture.prepare(self._engine, self.tables.root, self._layout.descriptor_tables, stack)
        if self._user is not None:
            self.monitor.limit = self.monitor.blocks + 1
            self._user.enter(self._engine, self.monitor, gates[-1][0])
            self.monitor.blocks = 0
        for start, end in gates:
            self._engine.hook_code(start, end, self._at_gate)

    def watch(self, access: Callable[[int, int, int, bool], None], block: Callable[[int, int], None]) -> None:
        """Report every memory access of the CPU (pc, address, size, write) and every block (address, size)."""
        self._engine.hook_accesses(self._number(self._pc), access)
        self._next = next_ = _BLOCK(lambda _uc, address, size, _data: block(address, size))
        self.monitor.next = ctypes.cast(next_, ctypes.c_void_p).value or 0

    def watch_natively(self, folder: NativeFolder) -> None:
        """Report every memory access of the CPU and every block to native code."""
        folder.read_register = self._engine.read_function
        folder.pc_register = self._number(self._pc)
        self._engine.hook_native_accesses(folder.access_callback, folder.hook_callback, folder.state)
        self.monitor.next, self.monitor.next_data = folder.block_callback, folder.state

    def arm(self, ranges: Sequence[tuple[int, int]], entries: Sequence[int]) -> None:
        """From now on, leaving all of *ranges* or entering one of *entries* is the hand-off."""
        self.monitor.arm([each for pair in ranges for each in pair], list(entries))

    def run(self, max_blocks: int, poll: Callable[[], str | None], blocks_between_looks: int = SLICE) -> Stop:
        """Run from the program counter until something stops the CPU for good.

        *poll* is called every *blocks_between_looks* blocks; what it gives is the reason to stop. Exceptions of a
        gate's service come out of here.
        """
        monitor = self.monitor
        while True:
            monitor.limit = min(monitor.blocks + blocks_between_looks, max_blocks)
            monitor.reason = 0
            self._trap = None
            failure: EmulationError | None = None
            (pc,) = self.read((self._pc,))
            self.architecture.forget_trap(self._engine)
            monitor.begin()
            try:
                self._engine.run(self.architecture.resume_address(self._engine, pc), self._until)
            except EmulationError as error:
                failure = error
            self._pass_on()
            self._move_back()
            (pc,) = self.read((self._pc,))
            if monitor.reason in (REASON_LEFT, REASON_ENTRY):
                return Stop("kernel-entry", "the kernel's entry was reached", pc, monitor.previous)
            if monitor.reason == REASON_CLOCK:
                self._answer_clocks(pc)
                continue
            if monitor.reason == REASON_LIMIT:
                if monitor.blocks >= max_blocks:
                    return Stop("budget", f"it ran for {max_blocks} blocks", pc)
                reason = poll()
                if reason is not None:
                    return Stop("budget", reason, pc)
                continue
            if not (self._is_no_fault() or (failure is None and self._is_woken())):
                return Stop("fault", self._describe(pc, failure), pc)
            if self._ends:
                (pc,) = self.read((self._pc,))
                return Stop("fault", f"{self._ends}, pc {pc:#x}", pc)
            reason = self._look(poll)
            if reason is not None:
                return Stop("budget", reason, pc)

    def _answer_clocks(self, pc: int) -> None:
        """The block at *pc*, which is to be executed next, reads counters."""
        for address in self.monitor.take_clocks():
            self._engine.hook_native_code(address, self.monitor.clock_callback, self.monitor.state)
            # It was translated without the hook.
            self._engine.drop_code(min(pc, address), max(pc, address) + 4)

    def _look(self, poll: Callable[[], str | None]) -> str | None:
        """A payload that traps or waits all the time never executes enough blocks in a row to be looked at."""
        self._looked_after += 1
        return poll() if self._looked_after % PERFORMED_SLICE == 0 else None

    def _is_woken(self) -> bool:
        """Whether the CPU only waits for an interrupt, and there will be one."""
        waits = self._trap is None and self._user is None and self.architecture.can_wake(self._engine)
        return waits and self.wakes()

    def _raised_mode(self) -> AbstractContextManager[None]:
        return nullcontext() if self._user is None else self._user.raised(self._engine)

    def leave_user_mode(self) -> None:
        """Leave the page tables as they would be after a run with privileges."""
        if self._user is not None:
            self._tell_counted()
            self.tables.withdraw(self._user.entry_bit)

    def handoff_registers(self) -> dict[str, int]:
        """Registers as a hand-off reports them."""
        with self._raised_mode():
            registers = self.architecture.handoff_registers(self._engine)
        return registers if self._user is None else self._user.privileged(registers)

    def protect(self, start: int, size: int, access: Access) -> None:
        """The Mmu port: permissions of pages."""
        # Unicorn keeps what it has translated, and doesn't notice when that is written while it can't be executed.
        self._memory_changed(start, size)
        self.tables.protect(start, size, access)

    def runs(self, start: int, end: int) -> Iterator[tuple[int, int, Access | None]]:
        """The Mmu port: what pages allow."""
        return self.tables.runs(start, end)

    # Hooks.

    def _set_up_monitor(self, seed: int) -> None:
        engine, monitor = self._engine, self.monitor
        monitor.stop, monitor.write = engine.stop_function, engine.write_function
        monitor.read_ns = COUNTER_READ_NS
        monitor.tsc_offset = int.from_bytes(SeededEntropy(seed, "tsc").take(5), "little")
        monitor.counter = engine.block_counter
        engine.hook_native_blocks(monitor.block_callback, monitor.state)
        self.architecture.answer_reads(engine, monitor)

    def _pass_on(self) -> None:
        """Raise what a gate's service raised while Unicorn's frames lay between."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised

    def _at_gate(self, _engine: object, address: int, _size: int, _data: object) -> None:
        if self._raised is not None:
            return
        try:
            self._tell_counted()
            self._enter(address)
        except BaseException as raised:  # noqa: BLE001 - nothing may unwind through Unicorn's frames
            self._raised = raised
            self._engine.stop()

    def _on_exception(self, number: int) -> None:
        # Only the first counts, and it has to be read now: Unicorn goes on to fetch from where it was told to stop.
        if self._trap is None:
            self._trap = self.architecture.trap(self._engine, number)
        self._engine.stop()

    def _memory_changed(self, start: int, size: int) -> None:
        # No page that can't be fetched: Unicorn looks the first address up as code, and ignores the rest if it fails.
        for first, last in self.tables.executable(start, start + size):
            self._engine.drop_code(first, last)

    def _move_back(self) -> None:
        """Let the CPU stand at the instruction that trapped."""
        if self._trap is not None and self._trap.pc is not None:
            self.write({self._pc: self._trap.pc})

    def _is_no_fault(self) -> bool:
        """Whether the trap was the first fetch from a page that may be executed, or something that was then done."""
        trap = self._trap
        if trap is None:
            return False
        if trap.fetch and trap.address is not None and self.tables.execute(trap.address):
            return True
        if self._perform(self._user, trap):
            return True
        asked = self.architecture.emulate(self._engine, trap)
        if asked is not None:
            self.asked(asked)
        return asked is not None

    def _perform(self, user: UserMode | None, trap: Trap) -> bool:
        """Whether a payload in user mode needed more than that, and something was done for it."""
        if user is None:
            return False
        # It may execute a block of one instruction, which may trap in its turn.
        self._trap, self.monitor.limit = None, self.monitor.blocks + 2
        done = user.perform(self._engine, trap, self.ram)
        if done is None:
            self._trap = self._trap or trap
            return False
        self.performed(done)
        self._ends = done.ends
        return True

    def _tell_counted(self) -> None:
        """Tell of what was done for a payload in user mode without a trap."""
        if self._user is not None:
            for each in self._user.counted(self.monitor, self.ram):
                self.performed(each)

    def _describe(self, pc: int, failure: EmulationError | None) -> str:
        if self._trap is not None:
            denied = "" if self._trap.address is None else f", {self._denied(self._trap, self._trap.address)}"
            return f"{self._trap.name}{denied}, pc {pc:#x}"
        if failure is not None and failure.code == INVALID_INSTRUCTION:
            return f"{self.architecture.invalid_instruction}, pc {pc:#x}"
        if failure is not None:
            return f"{failure}, pc {pc:#x}"
        return f"the CPU was halted for good, pc {pc:#x}"

    def _denied(self, trap: Trap, address: int) -> str:
        """What the access that *trap* refused was, and what stood against it."""
        access = self.tables.access(address)
        if trap.fetch:
            return f"fetch from {address:#x}, which is {'no memory' if access is None else 'not executable'}"
        if access is None or Access.READ not in access:
            return f"access to {address:#x}, which is {'no memory' if access is None else 'a guard page'}"
        if trap.write and Access.WRITE not in access:
            return f"write to {address:#x}, which is read-only"
        return f"{'write to' if trap.write else 'read of'} {address:#x}, which the guest's own page tables don't allow"
