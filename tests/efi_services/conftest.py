"""A machine without a CPU: the firmware's ports over a bytearray, and a guest that calls services by the ABI.

The guest knows the specification only: it finds each service by the offset that UEFI 2.10 gives it, passes
arguments in registers and on a stack, and runs Python functions where the firmware wants guest code to run.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

from efi_services.abi import I386
from efi_services.memory_map import PAGE
from efi_services.platform import Measuring
from efi_services.status import EfiError
from efi_services.tcg.algorithms import Algorithm
from fakes import BASE, FILES, SIZE, FakeClock, FakeCpu, FakeDevice, FakeMemory, FakeMmu, FakeTree
from guest import SCRATCH_END, make
from specification import BOOT_SERVICES, PROTOCOLS, RUNTIME_SERVICES, SYSTEM_TABLE

settings.register_profile(
    "firmware", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("firmware")

#: What a platform may have to measure with.
TPM = Measuring("tpm", (Algorithm.SHA1, Algorithm.SHA256))
TDX = Measuring("tdx", (Algorithm.SHA384,))


@pytest.fixture(scope="session")
def measuring():
    """Settings of a TPM and of TDX, as a platform's `tpm` and `cc`."""
    return {"tpm": TPM, "cc": TDX}


@pytest.fixture(scope="session")
def power_on():
    """Makes a guest on a new machine; its arguments are the platform's."""
    return make


@pytest.fixture
def guest():
    """A payload that runs on the ordinary machine."""
    made = make()
    made.start()
    return made


@pytest.fixture(scope="session")
def i386():
    """A 32-bit convention: everything on the stack."""
    return I386


@pytest.fixture(scope="session")
def attempt():
    """Calls a function; gives its result, or None and the status with which it refused."""

    def call(function, *arguments, **options):
        try:
            return function(*arguments, **options), None
        except EfiError as refusal:
            return None, refusal.status

    return call


@pytest.fixture(scope="session")
def specification():
    """What UEFI 2.10 says of tables."""
    return SimpleNamespace(
        boot=BOOT_SERVICES, runtime=RUNTIME_SERVICES, system=SYSTEM_TABLE, protocols=PROTOCOLS, base=BASE, size=SIZE,
        scratch_end=SCRATCH_END, page=PAGE,
    )  # fmt: skip


@pytest.fixture(scope="session")
def fakes():
    """The fakes by themselves."""
    return SimpleNamespace(
        Memory=FakeMemory, Clock=FakeClock, Mmu=FakeMmu, Cpu=FakeCpu, Tree=FakeTree, files=FILES, Device=FakeDevice
    )
