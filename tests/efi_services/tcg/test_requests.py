"""Which register a command extends that the guest sent itself; the rest is tested through the protocols."""

import pytest

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.commands import NULL_HANDLE, Code, command, digest_values, sized
from efi_services.tcg.requests import extended_by

BOTH = (Algorithm.SHA1, Algorithm.SHA256)
EXTEND = command(Code.PCR_EXTEND, digest_values(digests(BOTH, b"x")), (9,), passwords=1)


def test_an_extend_tells_itself(driver):
    assert extended_by(EXTEND, driver.tpm.transmit(EXTEND)) == ("TPM2_PCR_Extend", 9, digests(BOTH, b"x"))


def test_the_others_are_told_by_their_answers(driver):
    event = command(Code.PCR_EVENT, sized(b"e"), (8,), passwords=1)
    found = extended_by(event, driver.tpm.transmit(event))
    assert found == ("TPM2_PCR_Event", 8, digests(tuple(Algorithm), b"e"))
    driver.send(Code.HASH_SEQUENCE_START, sized(b"") + b"\0\x10")
    last = command(Code.EVENT_SEQUENCE_COMPLETE, sized(b"s"), (10, 0x8000_0000), passwords=2)
    found = extended_by(last, driver.tpm.transmit(last))
    assert found == ("TPM2_EventSequenceComplete", 10, digests(tuple(Algorithm), b"s"))


@pytest.mark.parametrize(
    "sent",
    [
        command(Code.GET_RANDOM, b"\0\1"),
        command(Code.PCR_EXTEND, digest_values(digests(BOTH, b"x")), (17,), passwords=1),
        command(Code.PCR_EXTEND, b"", (9,)),
        EXTEND[:20],
        b"",
    ],
)
def test_what_extends_nothing(driver, sent):
    assert extended_by(sent, driver.tpm.transmit(sent)) is None


def test_an_answer_that_is_none():
    assert extended_by(EXTEND, b"junk") is None


def test_no_pcr_is_a_handle_too(driver):
    nowhere = command(Code.PCR_EXTEND, digest_values({}), (NULL_HANDLE,), passwords=1)
    assert extended_by(nowhere, driver.tpm.transmit(nowhere)) == ("TPM2_PCR_Extend", NULL_HANDLE, {})
