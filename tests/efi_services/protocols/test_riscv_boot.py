from dataclasses import replace

import pytest

from efi_services.abi import X86_64
from efi_services.guids import RISCV_BOOT
from efi_services.status import Status

NAME = "RISCV_EFI_BOOT_PROTOCOL"
#: A machine that says that it is one, with the registers that the test's programs know.
RISCV = replace(X86_64, name="riscv64")


def test_the_hart(power_on):
    guest = power_on(abi=RISCV)
    interface = guest.protocol(RISCV_BOOT)
    assert guest.u64(interface) == 0x1_0000
    hart = guest.put(7)
    assert guest.method(NAME, "GetBootHartId", interface, hart) == Status.SUCCESS
    assert guest.u64(hart) == 0
    assert guest.method(NAME, "GetBootHartId", interface, 0) == Status.INVALID_PARAMETER


@pytest.mark.parametrize("settings", [{}, {"abi": RISCV, "boot_hart_protocol": False}])
def test_others_do_not_have_it(power_on, settings):
    guest = power_on(**settings)
    assert guest.call("LocateProtocol", guest.put(RISCV_BOOT), 0, guest.room()) == Status.NOT_FOUND
