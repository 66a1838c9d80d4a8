"""Text of a payload on a terminal."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.report.text import one_line, plain, stdout_console


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünïcödé ✓", "plain text, ünïcödé ✓"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),  # the same sequence in one character
        ("a\rb", "a\\x0db"),
        ("a\bb", "a\\x08b"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("\u202egnp.exe", "\\x202egnp.exe"),  # right to left
        ("\u200b\ufeff\u2028", "\\x200b\\xfeff\\x2028"),
        ("\ud800", "\\xd800"),
    ],
)
def test_control_characters_become_visible(text, shown):
    assert plain(text) == shown


@given(st.text(alphabet=st.characters(exclude_categories=())))
@settings(deadline=None, max_examples=300, database=None)
def test_nothing_that_a_terminal_obeys_is_left(text):
    shown = plain(text)
    assert not any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in shown if each not in "\t\n")
    assert plain(shown) == shown
    shown.encode()
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not set(line) & {"\n", "\t"}


def test_one_line():
    assert one_line("a\n\tb\x1b") == "a\\n\\tb\\x1b"


def test_a_console_for_another_program_does_not_fold(capsys):
    stdout_console().print("x" * 5000)
    assert capsys.readouterr().out == "x" * 5000 + "\n"


@pytest.mark.parametrize("text", ["code :smile: here", "12:on:34", "1.5 <0x10> 'x' https://a"])
def test_a_console_shows_text_as_it_is(capsys, text):
    stdout_console().print(text)
    assert capsys.readouterr().out == text + "\n"
