"""Values in a platform's file."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.config.values import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        (4096, 4096),
        ("0x9f000", 0x9F000),
        ("0X9F000", 0x9F000),
        ("0xb", 11),
        ("0xbb", 0xBB),
        ("1K", 1 << 10),
        ("384K", 384 << 10),
        ("512m", 512 << 20),
        ("1G", 1 << 30),
        ("1GB", 1 << 30),
        ("1GiB", 1 << 30),
        ("2T", 2 << 40),
        (" 1G ", 1 << 30),
        ("0x10M", 16 << 20),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", " ", "G", "1X", "1.5G", "1 2", "one", "0x", "0xG", "G1", "1GG", "--1", True, False, 1.0, None, [], {}]
)
def test_what_is_no_size_says_so(text):
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)


@given(st.one_of(st.text(max_size=20), st.from_regex(r"\A\s*[0-9a-fxKMGTiB_+-]{1,12}\s*\Z")))
@settings(deadline=None, max_examples=300, database=None)
def test_any_text_is_a_size_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert isinstance(parse_size(text), int)


def test_a_number_too_long_to_read_is_no_size():
    with pytest.raises(ValueError, match="no size"):
        parse_size("9" * 10_000)
