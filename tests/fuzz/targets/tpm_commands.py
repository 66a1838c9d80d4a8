"""Commands to the model of a TPM, one behind the other: each is answered by a whole response."""

from loading import borrow

from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.commands import MAX_BYTES, Code, answer, command, digest_values, pcr_selections, sized
from efi_services.tcg.requests import extended_by

ERRORS = ()
#: Inputs are commands, each behind its length (two bytes, little-endian) and its locality (one byte).
_driver = borrow("tests/efi_services/tcg/conftest.py").Driver


def packed(*sent, locality=0):
    return b"".join(len(each).to_bytes(2, "little") + bytes([locality]) + each for each in sent)


def seeds():
    values = digest_values(digests((Algorithm.SHA1, Algorithm.SHA256), b"x"))
    selected = pcr_selections([(Algorithm.SHA256, 0xFF)])
    return {
        "extend": packed(command(Code.PCR_EXTEND, values, (9,), passwords=1)),
        "dynamic": packed(command(Code.PCR_EXTEND, values, (17,), passwords=1), locality=2),
        "read": packed(
            command(Code.PCR_READ, selected), command(Code.GET_CAPABILITY, bytes.fromhex("00000005") + bytes(8))
        ),
        "event": packed(
            command(Code.PCR_EVENT, sized(b"data"), (16,), passwords=1),
            command(Code.PCR_RESET, b"", (16,), passwords=1),
        ),
        "hash": packed(command(Code.HASH, sized(b"data") + bytes.fromhex("000b40000007"))),
        "sequence": packed(
            command(Code.HASH_SEQUENCE_START, bytes.fromhex("0000000b")),
            command(Code.SEQUENCE_UPDATE, sized(b"data"), (0x80000000,), passwords=1),
            command(Code.SEQUENCE_COMPLETE, sized(b"") + bytes.fromhex("40000007"), (0x80000000,), passwords=1),
        ),
        "others": packed(
            command(Code.GET_RANDOM, b"\0\x10"),
            command(Code.STIR_RANDOM, sized(b"s")),
            command(Code.SELF_TEST, b"\1"),
            command(Code.READ_CLOCK),
            command(Code.GET_TEST_RESULT),
            command(Code.SHUTDOWN, b"\0\0"),
        ),
    }


def target(data):
    tpm = _driver().start().tpm
    at = 0
    while at + 3 <= len(data):
        size, locality = int.from_bytes(data[at : at + 2], "little"), data[at + 2] % 5
        sent, at = data[at + 3 : at + 3 + size], at + 3 + size
        response = tpm.transmit(sent, locality)
        assert len(response) <= MAX_BYTES
        answer(response)
        told = extended_by(sent, response)
        assert told is None or told[1] < 24
