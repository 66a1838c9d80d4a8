"""The model of a TPM, command by command; tests/shim/tpm compares the same commands with swtpm."""

import struct

import pytest

from efi_services.tcg import commands
from efi_services.tcg.algorithms import Algorithm, digests
from efi_services.tcg.commands import NULL_HANDLE, Code, Rc, digest_values, pcr_selections, sized

SHA1, SHA256, SHA512 = Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA512


def extend(driver, pcr, data=b"x", locality=0):
    values = digest_values(digests((SHA1, SHA256), data))
    return driver.send(Code.PCR_EXTEND, values, (pcr,), 1, locality)[0]


def read(driver, pcr, algorithm=SHA256):
    code, made = driver.send(Code.PCR_READ, pcr_selections([(algorithm, 1 << pcr)]))
    assert code == 0
    return made[-algorithm.size :]


def test_nothing_before_startup(new_driver):
    driver = new_driver()
    assert driver.send(Code.GET_TEST_RESULT)[0] == Rc.INITIALIZE
    assert driver.send(Code.STARTUP, b"\0\1")[0] == 0x1C4
    driver.start()
    assert driver.send(Code.STARTUP, b"\0\0")[0] == Rc.INITIALIZE


def test_extend_and_read(driver):
    assert extend(driver, 9) == 0
    value = SHA256.digest(bytes(32), SHA256.digest(b"x"))
    assert read(driver, 9) == value
    assert driver.tpm.pcrs.value(SHA1, 9) == SHA1.digest(bytes(20), SHA1.digest(b"x"))


def test_at_most_eight_values_at_once(driver):
    _, made = driver.send(Code.PCR_READ, pcr_selections([(SHA256, 0xFFFFFF)]))
    assert made[4:14] == bytes.fromhex("00000001 000b 03 ff0000")
    assert struct.unpack_from(">I", made, 14) == (8,)


def test_a_bank_that_is_not_active_has_no_values(driver):
    _, made = driver.send(Code.PCR_READ, pcr_selections([(SHA512, 1)]))
    assert made[4:] == bytes.fromhex("00000001 000d 03 000000 00000000")


def test_event_tells_the_digests_of_all_algorithms(driver):
    code, made = driver.send(Code.PCR_EVENT, sized(b"hello"), (8,), 1)
    assert (code, made[: len(digest_values(digests(tuple(Algorithm), b"hello")))]) == (
        0,
        digest_values(digests(tuple(Algorithm), b"hello")),
    )
    assert read(driver, 8) == SHA256.digest(bytes(32), SHA256.digest(b"hello"))


@pytest.mark.parametrize(("pcr", "locality", "code"), [(17, 0, 0x907), (17, 3, 0), (20, 1, 0), (22, 3, 0x907)])
def test_who_may_extend(driver, pcr, locality, code):
    assert extend(driver, pcr, locality=locality) == code


@pytest.mark.parametrize(
    ("pcr", "locality", "code"),
    [(16, 0, 0), (23, 0, 0), (9, 0, 0x907), (17, 4, 0x907), (20, 4, 0), (20, 0, 0x907), (NULL_HANDLE, 0, 0x184)],
)
def test_who_may_reset(driver, pcr, locality, code):
    assert driver.send(Code.PCR_RESET, b"", (pcr,), 1, locality)[0] == code


def test_a_dynamic_launch(driver):
    assert read(driver, 17) == b"\xff" * 32
    driver.tpm.launch(b"loader")
    assert read(driver, 17) == SHA256.digest(bytes(32), SHA256.digest(b"loader"))
    assert read(driver, 22) == bytes(32)
    assert read(driver, 9) == bytes(32)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", Rc.BAD_TAG),
        (b"\x80\3\0\0\0\x0a\0\0\1\x7c", Rc.BAD_TAG),
        (b"\x80\1\0\0", Rc.COMMAND_SIZE),
        (b"\x80\1\0\0\0\x0b\0\0\1\x7c", Rc.COMMAND_SIZE),
        (commands.command(0x1FF), Rc.COMMAND_CODE),
        (commands.command(Code.GET_TEST_RESULT, b"x"), Rc.SIZE),
        (commands.command(Code.PCR_EXTEND, b"", (9,)), Rc.AUTH_MISSING),
        (commands.command(Code.PCR_EXTEND, b"", (24,), passwords=1), 0x184),
        (commands.command(Code.SEQUENCE_UPDATE, b"", (7,), passwords=1), 0x184),
        (commands.command(Code.SEQUENCE_UPDATE, b"", (0x8000_0000,), passwords=1), Rc.REFERENCE_H0),
        (b"\x80\2\0\0\0\x0c\0\0\1\x82\0\0", 0x19A),
        (commands.command(Code.SELF_TEST, b"\2"), 0x1C4),
        (commands.command(Code.SHUTDOWN, b"\0\7"), 0x1C4),
        (commands.command(Code.HASH, sized(b"") + b"\0\x0b" + b"\0\0\0\5"), 0x3C4),
        (commands.command(Code.PCR_EVENT, sized(bytes(1025)), (8,), passwords=1), 0x1D5),
    ],
)
def test_what_is_refused(driver, sent, code):
    before = read(driver, 9)
    response = driver.tpm.transmit(sent)
    assert commands.answer(response) == (code, b"")
    assert read(driver, 9) == before


def test_random_bytes_are_limited(driver):
    assert driver.send(Code.GET_RANDOM, b"\xff\xff") == (0, sized(b"r" * 64))
    assert driver.send(Code.GET_RANDOM, b"\0\4") == (0, sized(b"rrrr"))


def test_the_clock_is_the_machines(driver):
    assert driver.send(Code.READ_CLOCK) == (0, struct.pack(">QQIIB", 5000, 5000, 0, 0, 1))


def test_hashing_and_its_ticket(driver):
    code, made = driver.send(Code.HASH, sized(b"abc") + b"\0\x0b" + struct.pack(">I", NULL_HANDLE))
    assert (code, made) == (0, sized(SHA256.digest(b"abc")) + bytes.fromhex("8024 40000007 0000"))


def test_a_sequence_of_pieces(driver):
    code, handle = driver.send(Code.HASH_SEQUENCE_START, sized(b"") + b"\0\x0b")
    assert (code, handle) == (0, b"\x80\0\0\0")
    assert driver.send(Code.SEQUENCE_UPDATE, sized(b"ab"), (0x8000_0000,), 1)[0] == 0
    _, made = driver.send(Code.SEQUENCE_COMPLETE, sized(b"c") + b"\x40\0\0\7", (0x8000_0000,), 1)
    assert made.startswith(sized(SHA256.digest(b"abc")))


def test_an_event_of_pieces_extends(driver):
    driver.send(Code.HASH_SEQUENCE_START, sized(b"") + b"\0\x10")
    driver.send(Code.SEQUENCE_UPDATE, sized(b"ab"), (0x8000_0000,), 1)
    assert driver.send(Code.EVENT_SEQUENCE_COMPLETE, sized(b"c"), (10, 0x8000_0000), 2)[0] == 0
    assert read(driver, 10) == SHA256.digest(bytes(32), SHA256.digest(b"abc"))


def test_the_counter_counts_each_bank_and_not_the_debug_pcr(driver):
    def count():
        return int.from_bytes(driver.send(Code.PCR_READ, pcr_selections([]))[1][:4], "big")

    before = count()
    extend(driver, 16)
    assert count() == before
    extend(driver, 9)
    assert count() == before + 2
