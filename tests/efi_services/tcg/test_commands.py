"""Commands on the wire, and what is refused of them where."""

import pytest

from efi_services.tcg import commands
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.commands import Code, Parameters, Rc, TpmError

SHA256 = Algorithm.SHA256


def test_a_command_as_part_3_shows_it():
    assert commands.command(Code.STARTUP, b"\0\0") == bytes.fromhex("8001 0000000c 00000144 0000")


def test_an_empty_password_for_a_handle():
    made = commands.command(Code.PCR_RESET, handles=(16,), passwords=1)
    assert made == bytes.fromhex("8002 0000001b 0000013d 00000010 00000009 40000009 0000 00 0000")


def test_digests_and_selections_come_back():
    digests = {each: each.digest(b"x") for each in (Algorithm.SHA1, SHA256)}
    assert Parameters(commands.digest_values(digests)).digests() == digests
    selections = [(SHA256, 0x00_0200), (Algorithm.SHA384, 0)]
    assert commands.pcr_selections(selections)[:10] == bytes.fromhex("00000002 000b 03 000200")
    assert Parameters(commands.pcr_selections(selections)).selections() == selections


@pytest.mark.parametrize(
    ("data", "read", "code"),
    [
        (b"", lambda it: it.number(2), 0x1DA),
        (b"\0", lambda it: it.number(2), 0x1DA),
        (b"\0\1\0", lambda it: (it.number(2), it.number(2)), 0x2DA),
        (b"\0\5abcd", lambda it: it.sized(9), 0x1DA),
        (b"\0\5abcde", lambda it: it.sized(4), 0x1D5),
        (b"\0\x99", lambda it: it.algorithm(), 0x1C3),
        (b"\0\x10", lambda it: it.algorithm(), 0x1C3),
        (b"\xff" * 4, lambda it: it.digests(), 0x1D5),
        (b"\0\0\0\1\0\x0b\2\1\0", lambda it: it.selections(), 0x1C4),
    ],
)
def test_what_is_wrong_is_said_of_its_parameter(data, read, code):
    with pytest.raises(TpmError) as refused:
        read(Parameters(data))
    assert refused.value.code == code


def test_null_is_an_algorithm_where_it_may_be():
    assert Parameters(b"\0\x10").algorithm(null=True) is None


def test_nothing_may_follow():
    parameters = Parameters(b"\0\1x")
    parameters.number(2)
    with pytest.raises(TpmError) as refused:
        parameters.end()
    assert refused.value.code == Rc.SIZE


@pytest.mark.parametrize("response", [b"", b"\x80\1\0\0\0\x0b\0\0\0\0", b"\x12\x34\0\0\0\x0a\0\0\0\0", b"\x80\1\0\0"])
def test_what_is_no_response(response):
    with pytest.raises(ValueError, match="response"):
        commands.answer(response)


def test_where_a_code_points_to():
    assert commands.at_handle(Rc.VALUE, 1) == 0x184
    assert commands.at_parameter(Rc.VALUE, 2) == 0x2C4
    assert commands.at_session(Rc.BAD_AUTH, 1) == 0x9A2
