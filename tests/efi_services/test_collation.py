import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.collation import MAX_PATTERN, compare, lower, matches, to_fat, upper

latin = st.text(st.characters(max_codepoint=0x17F))


def test_case():
    assert upper("aZ9äÿ÷ž") == "AZ9Äÿ÷ž"
    assert lower("AZ9Ä×ß") == "az9ä×ß"


@given(latin)
def test_case_can_be_undone(text):
    assert upper(lower(upper(text))) == upper(text)
    assert compare(text, upper(text)) == compare(lower(text), text) == 0


@given(latin, latin)
def test_an_order(first, second):
    assert (compare(first, second) > 0) == (compare(second, first) < 0)
    assert compare(first + second, first) >= 0


def test_what_comes_first():
    assert compare("abc", "ABD") == -1
    assert compare("b", "ABC") > 0
    assert compare("ab", "a") > 0
    assert compare("", "a") < 0


@pytest.mark.parametrize(
    ("text", "pattern", "is_like"),
    [
        ("startup.NSH", "*.nsh", True),
        ("startup.nsh", "STARTUP.?sh", True),
        ("startup.nsh", "*.ns", False),
        ("fs0", "fs[0-9]", True),
        ("fsa", "fs[0-9]", False),
        ("fsB", "fs[xb]", True),
        ("aXbXc", "a*b*c", True),
        ("abcb", "a*b", True),
        ("ab", "a*b*b", False),
        ("", "*", True),
        ("", "", True),
        ("a", "", False),
        ("a.b", "a[.]b", True),
        ("a", "[", False),
        ("b", "[c-a]", False),
        ("^", "[^]", True),
        ("a\nb", "a?b", True),
        ("a\n", "a", False),
    ],
)
def test_patterns(text, pattern, is_like):
    assert matches(text, pattern) is is_like


@given(st.text("ab.", max_size=12), st.text("ab.*?", max_size=8))
def test_patterns_are_as_those_of_the_shell(text, pattern):
    assert matches(text, pattern) == fnmatch.fnmatchcase(text, pattern)


def test_no_pattern_takes_for_ever():
    began = time.process_time()
    assert not matches("a" * 65536, "*".join("a" * (MAX_PATTERN // 2 - 1)) + "b")
    assert not matches("a" * 65536, "*" + "?" * (MAX_PATTERN - 2) + "b")
    assert not matches("a", "*" * (MAX_PATTERN + 1))
    assert time.process_time() - began < 2


def test_names_of_fat():
    assert to_fat("startup.nsh", 11) == (b"STARTUPNSH", False)
    assert to_fat("a b+c", 8) == (b"AB_C", True)
    assert to_fat("longer than that", 8) == (b"LONGERTH", False)
    assert to_fat("ž", 8) == (b"_", True)
