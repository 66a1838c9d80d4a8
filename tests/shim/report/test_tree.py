"""Facts as indented lines."""

import pytest

from shim.report.tree import write_tree


@pytest.fixture
def tree(capsys):
    def write(facts, indent=0):
        write_tree(facts, indent)
        return capsys.readouterr().out.splitlines()

    return write


def test_plain_facts_are_aligned(tree):
    assert tree({"a": 1, "longer": "text"}) == ["a       1", "longer  text"]


def test_values(tree):
    facts = {"none": None, "yes": True, "no": False, "zero": 0, "list": [1, "b"], "tuple": (2,)}
    assert [line.split(None, 1)[1] for line in tree(facts)] == ["-", "yes", "no", "0", "1, b", "2"]


@pytest.mark.parametrize("empty", [None, [], (), {}])
def test_nothing_is_a_dash(tree, empty):
    assert tree({"x": empty}) == ["x  -"]


def test_what_is_inside_is_indented(tree):
    assert tree({"outer": {"inner": {"x": 1}}, "y": 2}) == ["outer", "  inner", "    x  1", "y  2"]


def test_alike_facts_are_a_table(tree):
    assert tree({"parts": [{"name": "a", "size": 5}, {"name": "long", "size": None}]}) == [
        "parts",
        "  name  size",
        "  a     5",
        "  long  -",
    ]


def test_nested_lists_of_facts(tree):
    assert tree({"parts": [{"name": "a", "inner": {"x": 1}}, {"name": "b", "inner": {}}]}) == [
        "parts 1",
        "  name  a",
        "  inner",
        "    x  1",
        "parts 2",
        "  name   b",
        "  inner  -",
    ]


@pytest.mark.parametrize(
    "facts",
    [
        {"x": "a\nforged  line"},
        {"x": "\x1b[31m"},
        {"a\nb": 1},
        {"x": ["a\nb", "\x1b"]},
        {"x": {"a\nb": "\x07"}},
        {"x": [{"a\nb": "c\nd"}]},
        {"x\n": [{"a": {"b\n": 1}}]},
    ],
)
def test_text_from_outside_stays_on_its_line(tree, facts):
    text = "\n".join(tree(facts))
    assert "forged" not in [line.split()[0] for line in text.splitlines()]
    assert text.isprintable() or set(text) - {"\n"} == {each for each in text if each.isprintable()}
    names = sum(1 for line in text.splitlines() if line.strip())
    assert names <= 4


def test_rows_may_lack_columns(tree):
    assert tree({"x": [{"a": 1, "b": 2}, {"a": 3}]}) == ["x", "  a  b", "  1  2", "  3  -"]
