import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.measure.formats import alignment
from shim.measure.formats.alignment import align


def same_letter(one, two):
    return one.lower() == two.lower()


def pairs(ours, theirs):
    return [
        (ours[mine] if mine is not None else "-") + (theirs[other] if other is not None else "-")
        for mine, other in align(ours, theirs, operator.eq, same_letter)
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ("abc", "abc", ["aa", "bb", "cc"]),
        ("abc", "ac", ["aa", "b-", "cc"]),
        ("ac", "abc", ["aa", "-b", "cc"]),
        ("abc", "aBc", ["aa", "bB", "cc"]),
        ("abc", "axc", ["aa", "b-", "-x", "cc"]),
        ("aab", "Aab", ["aA", "aa", "bb"]),
        ("", "ab", ["-a", "-b"]),
        ("ab", "", ["a-", "b-"]),
    ],
)
def test_what_belongs_together(ours, theirs, expected):
    assert pairs(ours, theirs) == expected


words = st.text(st.sampled_from("abAB"), max_size=12)


@pytest.mark.parametrize("most", [alignment.MAX_PAIRS, 0])
@given(words, words)
def test_all_entries_are_there_once_and_in_order(most, ours, theirs):
    kept, alignment.MAX_PAIRS = alignment.MAX_PAIRS, most
    try:
        found = align(ours, theirs, operator.eq, same_letter)
    finally:
        alignment.MAX_PAIRS = kept
    assert [mine for mine, _ in found if mine is not None] == list(range(len(ours)))
    assert [other for _, other in found if other is not None] == list(range(len(theirs)))
    assert all(same_letter(ours[a], theirs[b]) for a, b in found if a is not None and b is not None)


@given(words)
def test_what_is_equal_is_paired_throughout(word):
    assert pairs(word, word) == [each * 2 for each in word]


def test_very_long_sequences_are_paired_in_their_order():
    found = align(list(range(2000)), list(range(1, 2002)), operator.eq, lambda _one, _two: False)
    assert len(found) == 2000 + 2001
