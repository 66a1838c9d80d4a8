"""The firmware's side, against the model and against transports that answer nonsense."""

import pytest

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.client import TpmClient
from efi_services.tcg.commands import TpmError

SHA256, SHA384 = Algorithm.SHA256, Algorithm.SHA384


@pytest.fixture
def client(new_driver):
    made = TpmClient(new_driver(SHA256, SHA384).tpm)
    made.startup()
    return made


def test_a_tpm_that_runs_is_taken_as_it_is(client):
    client.extend(9, digests((SHA256, SHA384), b"x"))
    client.startup()
    assert client.read(SHA256, range(9, 10)) == {9: SHA256.digest(bytes(32), SHA256.digest(b"x"))}


def test_banks_and_manufacturer(client):
    assert client.banks() == ((SHA256, SHA384), tuple(Algorithm))
    assert client.manufacturer() == int.from_bytes(b"SHIM", "big")


def test_all_pcrs_are_read_in_pieces(client):
    values = client.read(SHA384, range(24))
    assert sorted(values) == list(range(24))
    assert values[17] == b"\xff" * 48


def test_a_refusal_says_its_code(client):
    with pytest.raises(TpmError) as why:
        client.extend(17, digests((SHA256,), b"x"))
    assert why.value.code == 0x907


@pytest.mark.parametrize(
    "response",
    [b"", b"junk", b"\x80\1\0\0\0\x0a\0\0\0\0", b"\x80\1\0\0\0\x0f\0\0\0\0\0\0\0\0\7", b"\x80\1\0\0\0\x0c\0\0\0\0\0\0"],
)
def test_nonsense_is_a_failure(response):
    class Nonsense:
        def transmit(self, command, locality=0):  # noqa: ARG002 - as the port has it
            return response

    client = TpmClient(Nonsense())
    for ask in (client.banks, client.manufacturer, lambda: client.read(SHA256, range(3))):
        with pytest.raises(TpmError):
            ask()
