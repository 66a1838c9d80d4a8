"""A machine with room for a few instructions and bytes to work on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from efi_services.abi import ABIS
from efi_services.ports import Access
from shim.config.platform import CPU_MODELS
from shim.machine.aarch64 import AARCH64
from shim.machine.machine import Layout, Machine
from shim.machine.paging import PAGE
from shim.machine.x86_64 import X86_64

SIZE = 16 << 20
DEFAULT_CPUS = {name: models[0] for name, models in CPU_MODELS.items()}
#: What the hand-assembled programs know: the code, data, the stack's end, and a gate (a return instruction).
CODE, DATA, STACK, GATE = 0x20_0000, 0x30_0000, 0x40_0000, 0x50_0000


class Guest:
    """A machine that runs a few bytes of code. Page 0 is not mapped, and nothing beyond SIZE."""

    def __init__(self, cpu=None, seed=0, architecture=X86_64, user_mode=None):
        mapped = ((PAGE, SIZE),)
        room = Layout.firmware_bytes(architecture, mapped)
        tables = SIZE - len(architecture.descriptor_tables)
        layout = Layout(architecture, ((0, SIZE),), mapped, SIZE - room, tables, user_mode=user_mode)
        self.layout = layout
        self.machine = Machine(layout, cpu or DEFAULT_CPUS[architecture.name], seed)
        self.ram, self.tables = self.machine.ram, self.machine.tables
        self.calls = []
        self.performed = []
        self.machine.performed = self.performed.append
        self.enter = lambda _address: None
        returns = ABIS[architecture.name].return_instruction
        self.ram.write(GATE, returns * (0x100 // len(returns)))
        self.tables.protect(GATE, PAGE, Access.RX)
        self.tables.protect(CODE, PAGE, Access.RX)
        self.machine.prepare(((GATE, GATE + 0x100),), self._enter, STACK)

    def _enter(self, address):
        self.calls.append(address)
        self.enter(address)

    def put(self, code, at=CODE, access=None):
        """Put *code* somewhere, and give its pages *access*."""
        self.ram.write(at, code)
        if access is not None:
            self.tables.protect(at, len(code), access)

    def run(self, code=None, at=CODE, max_blocks=1 << 40, poll=lambda: None, look_every=1 << 20):
        """Run from *at*, or from where the CPU stands when there is no *code*."""
        if code is not None:
            self.put(code, at)
            self.machine.write({self.layout.architecture.program_counter: at})
        return self.machine.run(max_blocks, poll, look_every)

    def __getattr__(self, register):
        try:
            return self.machine.read((register,))[0]
        except KeyError:
            raise AttributeError(register) from None


@pytest.fixture
def places():
    return SimpleNamespace(code=CODE, data=DATA, stack=STACK, gate=GATE, size=SIZE)


@pytest.fixture
def make_guest():
    return Guest


@pytest.fixture
def arm_guest():
    return Guest(architecture=AARCH64)


@pytest.fixture
def guest():
    return Guest()
