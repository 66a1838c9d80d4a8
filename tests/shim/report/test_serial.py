"""What a guest writes, on stdout."""

from __future__ import annotations

import io

import pytest

from shim.report.serial import Serial


class Out(io.TextIOWrapper):
    """Stands in for stdout."""

    terminal = False

    def isatty(self):
        return self.terminal


@pytest.fixture
def out():
    return Out(io.BytesIO(), encoding="utf-8")


def test_bytes_are_handed_on_as_they_are(out):
    serial = Serial(out)
    serial.write(b"\x1b[2J\xff\r\n")
    serial.close()
    assert out.buffer.getvalue() == b"\x1b[2J\xff\r\n"


def test_nothing_steers_a_terminal(out):
    out.terminal = True
    serial = Serial(out)
    serial.write(b"\x1b[2Jn\xc3")
    serial.write(b"\xa4ht\r\n\xff")
    serial.close()
    assert out.buffer.getvalue().decode() == "\\x1b[2Jn\N{LATIN SMALL LETTER A WITH DIAERESIS}ht\n\ufffd\n"
