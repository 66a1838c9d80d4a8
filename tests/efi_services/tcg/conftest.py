"""A TPM to talk to, and a firmware that measures."""

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.commands import Code, answer, command
from efi_services.tcg.tpm import Tpm


class Entropy:
    def take(self, size):
        return b"r" * size


class Clock:
    now = 5_000_000_000


class Driver:
    """Sends commands, and tells code and parameters of the answer."""

    def __init__(self, *banks):
        self.tpm = Tpm(banks or (Algorithm.SHA1, Algorithm.SHA256), Entropy(), Clock())

    def send(self, code, parameters=b"", handles=(), passwords=0, locality=0):
        return answer(self.tpm.transmit(command(code, parameters, handles, passwords=passwords), locality))

    def start(self):
        assert self.send(Code.STARTUP, b"\0\0") == (0, b"")
        return self


@pytest.fixture
def driver():
    """A TPM that was started."""
    return Driver().start()


@pytest.fixture
def new_driver():
    """Makes TPMs with given banks, that were not started."""
    return Driver
