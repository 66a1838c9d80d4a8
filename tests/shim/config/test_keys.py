"""Scripts of keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.keyboard import Key
from shim.config.keys import parse_keys


def test_text_and_names():
    assert parse_keys("aé<down><enter><lt><f12>") == (
        Key(0, ord("a")), Key(0, 0xE9), Key(2, 0), Key(0, 13), Key(0, ord("<")), Key(0x16, 0),
    )  # fmt: skip
    assert parse_keys("<ctrl-b>b") == (Key(0, ord("b"), control=True), Key(0, ord("b")))
    assert parse_keys("") == ()


def test_pauses_add_up():
    assert parse_keys("<wait 1.5><wait 2>x<esc>") == (Key(0, ord("x"), 3_500_000_000), Key(0x17, 0, 0))


@pytest.mark.parametrize(
    "text",
    [
        "<",
        "<up",
        "<nothing>",
        "<up 3>",
        "<wait>",
        "<wait x>",
        "<wait -1>",
        "<ctrl-1>",
        "<ctrl-up>",
        "\n",
        "😀",
        "a" * 5000,
    ],
)
def test_what_is_no_script(text):
    with pytest.raises(ValueError, match="key"):
        parse_keys(text)


@given(st.text(alphabet="<>wait up.19 ax", max_size=30))
def test_any_text(text):
    try:
        keys = parse_keys(text)
    except ValueError:
        return
    assert all(each.pause >= 0 and (each.scan_code or each.character) for each in keys)
