"""Names of SBI calls; what is answered is seen in test_riscv64.py and test_riscv64_programs.py."""

import pytest

from shim.machine import sbi


@pytest.mark.parametrize(
    ("extension", "function", "names"),
    [
        (0x10, 0, ("BASE", "get_spec_version")),
        (0x10, 6, ("BASE", "get_mimpid")),
        (0x10, 7, ("BASE", "0x7")),
        (0, 0, ("legacy", "set_timer")),
        (1, 5, ("legacy", "console_putchar")),
        (8, 0, ("legacy", "shutdown")),
        (9, 0, ("0x9", "0x0")),
        (int.from_bytes(b"TIME"), 0, ("TIME", "set_timer")),
        (int.from_bytes(b"DBCN"), 2, ("DBCN", "console_write_byte")),
        (int.from_bytes(b"SRST"), (1 << 64) - 1, ("SRST", "0xffffffffffffffff")),
        ((1 << 64) - 1, 3, ("0xffffffffffffffff", "0x3")),
    ],
)
def test_the_name_of_a_call(extension, function, names):
    made = sbi.call(0x1000, extension, function, (0,) * 6)
    assert (made.extension, made.function) == names


@pytest.mark.parametrize(("number", "named"), sbi.EXTENSIONS.items())
def test_an_extensions_number_spells_its_name(number, named):
    spelt = {"BASE": "\x10", "IPI": "sPI", "RFENCE": "RFNC"}.get(named[0], named[0])
    assert number == int.from_bytes(spelt.encode())


@pytest.mark.parametrize("number", [each for each in sbi.EXTENSIONS if each != sbi.BASE])
def test_nothing_but_the_base_is_answered(number):
    assert sbi.call(0, number, 0, (0,) * 6).error == sbi.NOT_SUPPORTED
    assert sbi.call(0, sbi.BASE, 3, (number, *(0,) * 5)).value == 0
